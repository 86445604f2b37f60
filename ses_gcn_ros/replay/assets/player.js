// Time: the slider, the play button, and everybody who shows the moment.
class Player {
  constructor(duration, show) {
    Object.assign(this, { duration, show, time: 0, speed: 1, playing: false });
    this.slider = document.getElementById("time");
    this.button = document.getElementById("play");
    this.slider.max = duration;
    this.slider.addEventListener("input", () => this.jump(Number(this.slider.value)));
    this.button.addEventListener("click", () => this.toggle());
    document.getElementById("speed").addEventListener("change", (event) => {
      this.speed = Number(event.target.value);
    });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  jump(time) {
    this.time = clamp(time, 0, this.duration);
    this.slider.value = this.time;
    this.slider.setAttribute("aria-valuetext", clock(this.time));
    this.show(this.time);
  }

  toggle() {
    this.playing = !this.playing;
    this.button.textContent = this.playing ? "Pause" : "Play";
    if (!this.playing) return;
    if (this.time >= this.duration) this.time = 0;
    let before = performance.now();
    const tick = (now) => {
      if (!this.playing) return;
      this.jump(this.time + (this.speed * (now - before)) / 1000);
      before = now;
      if (this.time >= this.duration) this.toggle();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  key(event) {
    if (event.target.matches("input, select, button, summary")) return;
    const step = { ArrowLeft: -0.04, ArrowRight: 0.04 }[event.key];
    if (event.key === " ") this.toggle();
    else if (step) this.jump(this.time + step);
    else return;
    event.preventDefault();
  }
}

// Turn with a drag, zoom with two fingers or the buttons; up and down scrolls the page on a phone.
function steer(canvas, camera, redraw) {
  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 1) {
      camera.turn(-(event.clientX - before.clientX) / 150, (event.clientY - before.clientY) / 200);
    } else {
      const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const gap = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;
      camera.zoom(gap(before, other) / gap(event, other));
    }
    fingers.set(event.pointerId, event);
    redraw();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      camera.zoom(Math.exp(event.deltaY / 300));
      redraw();
    },
    { passive: false },
  );
}
