// An error that the page can show: a key of text.js and the values in its text.
export class PageError extends Error {
  constructor(code, values = {}) {
    super(code);
    this.code = code;
    this.values = values;
  }
}
