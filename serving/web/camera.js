// Pictures from the camera, as PNG files.

import {text} from './text.js';

export function camera({open, close, shoot, panel, video, onPicture, onError}) {
  open.onclick = async () => {
    try {
      // Browsers provide it on https and localhost only.
      if (!navigator.mediaDevices) throw new Error(text('insecure'));
      video.srcObject = await navigator.mediaDevices.getUserMedia({
        video: {facingMode: 'environment'},
      });
    } catch (error) {
      onError(error.message);
      return;
    }
    panel.hidden = false;
    open.hidden = true;
    shoot.disabled = true;
  };

  // The first frame is available.
  video.onloadeddata = () => {
    shoot.disabled = false;
    shoot.focus();
  };

  close.onclick = () => {
    for (const track of video.srcObject.getTracks()) track.stop();
    video.srcObject = null;
    panel.hidden = true;
    open.hidden = false;
    open.focus();
  };

  shoot.onclick = () => {
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    const time = new Date().toLocaleTimeString();
    canvas.toBlob((blob) =>
      onPicture(new File([blob], text('picture', {time}), {type: blob.type})),
    );
  };
}
