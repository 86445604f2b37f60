const data = JSON.parse(document.getElementById("data").textContent);
const LEVELS = ["CLEAR", "REDUCED", "STOP"];

function startScene() {
  const scene = new Scene(unpackAll(data.scene));
  const states = unpackAll(data.states);
  const camera = new Camera(data.scene.view);
  const canvas = document.getElementById("view");
  const charts = [];
  let asked = false;

  const draw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      scene.draw(canvas, camera, player.time);
    });
  };
  const player = new Player(data.scene.duration, (time) => {
    tell(states, time, data.scene.reason[scene.frameAt(time)]);
    for (const chart of charts) chart.moveTo(time);
    draw();
  });
  steer(canvas, camera, draw);
  new ResizeObserver(draw).observe(canvas);
  for (const button of document.querySelectorAll("[data-look]")) {
    button.addEventListener("click", () => {
      camera.look(...button.dataset.look.split(" ").map(Number));
      draw();
    });
  }
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      camera.zoom(Number(button.dataset.zoom));
      draw();
    });
  }
  document.getElementById("forecast").addEventListener("change", (event) => {
    scene.show.forecast = event.target.checked;
    draw();
  });
  const radius = document.getElementById("radius");
  radius.addEventListener("change", () => {
    scene.show.radius = Number(radius.value);
    draw();
  });
  scene.show.radius = Number(radius.value);
  const moments = startMoments(scene, player);
  if (states.time.length) charts.push(...startTimeline(states, player));
  const repaint = () => {
    scene.draw(canvas, camera, player.time);
    moments();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  window.addEventListener("beforeprint", repaint);
  player.jump(data.worst.length ? data.worst[0].time : 0);
}

function tell(states, time, reason) {
  const at = lastNotAfter(states.time, time);
  const level = at < 0 ? "" : LEVELS[states.level[at]];
  const chip = document.getElementById("level");
  chip.textContent = level || "no state";
  chip.className = `chip ${level}`;
  document.getElementById("clock").textContent = clock(time);
  document.getElementById("values").textContent =
    at < 0
      ? ""
      : `separation ${metres(states.separation[at])} · protective ${metres(states.protective[at])} ` +
        `· speed ${Math.round(100 * states.factor[at])}\u00a0%`;
  document.getElementById("reason").textContent = reason;
}

function startMoments(scene, player) {
  const buttons = [...document.querySelectorAll("[data-moment]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      player.jump(Number(button.dataset.moment));
      document.getElementById("scene").scrollIntoView({ block: "start" });
    });
  }
  const paint = () => {
    for (const button of buttons) {
      const time = Number(button.dataset.moment);
      scene.draw(button.querySelector("canvas"), scene.closeUp(time), time);
    }
  };
  paint();
  window.addEventListener("resize", paint);
  return paint;
}

function startTimeline(states, player) {
  const { time, separation, protective, factor } = states;
  const text = (value) => {
    const at = Math.max(lastNotAfter(time, value), 0);
    return [
      clock(value),
      LEVELS[states.level[at]],
      `separation ${metres(separation[at])}`,
      `protective ${metres(protective[at])}`,
      `speed ${Math.round(100 * factor[at])} %`,
    ].join("  ·  ");
  };
  const shared = { x: [0, data.scene.duration], bands: data.bands, text, zoomable: true, xUnit: " s" };
  const upper = new Chart(document.getElementById("timeline"), {
    ...shared,
    id: "timeline",
    label: "Separation and protective distance over time",
    y: [0, data.top],
    yText: (value) => `${value} m`,
    lines: [
      { x: time, y: protective, colour: "ink", width: 1.2, dash: "5 3" },
      { x: time, y: separation, colour: "person", width: 2.2 },
    ],
    marks: data.worst.slice(0, 1).map(({ time: x, separation: y }) => ({ x, y, text: metres(y) })),
    onPick: (value) => player.jump(value),
    onZoom: (range) => (lower.range = range) && lower.draw(),
  });
  const lower = new Chart(document.getElementById("factor"), {
    ...shared,
    id: "factor",
    label: "Speed factor over time",
    height: 64,
    bare: true,
    zoomable: false,
    y: [0, 1.05],
    yTicks: [0, 1],
    yText: (value) => (value ? "full" : "0"),
    lines: [{ x: time, y: factor, colour: "quiet", width: 1.8, steps: true }],
    onPick: (value) => player.jump(value),
  });
  for (const button of document.querySelectorAll("[data-span]")) {
    button.addEventListener("click", () => {
      const half = (Number(button.dataset.span) * (upper.range[1] - upper.range[0])) / 2;
      const centre = clamp(player.time, ...upper.range);
      upper.zoom(centre - half, centre + half);
    });
  }
  return [upper, lower];
}

function startCharts() {
  for (const spec of data.charts) {
    const nearest = (value) => {
      const from = spec.lines[0].x;
      return from.reduce((best, x, i) => (Math.abs(x - value) < Math.abs(from[best] - value) ? i : best), 0);
    };
    new Chart(document.getElementById(spec.id), {
      ...spec,
      text: (value) => {
        const at = nearest(value);
        const read = spec.lines.map(({ name, y }) => `${name} ${y[at] === null ? "–" : y[at].toFixed(spec.digits)}${spec.unit}`);
        return [`${spec.lines[0].x[at].toFixed(2)}${spec.xUnit}`, ...read].join("  ·  ");
      },
      lines: spec.lines.map((line) => ({ ...line, y: line.y.map((value) => value ?? NaN) })),
    });
  }
}

window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
if (data.scene) startScene();
startCharts();
document.documentElement.dataset.ready = "yes";
