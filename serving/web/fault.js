// What the page can say in words: a line of text.js and what it mentions.
export class Fault extends Error {
  constructor(code, mentions = {}) {
    super(code);
    this.code = code;
    this.mentions = mentions;
  }
}
