// The cell at a moment: floor, people with the volume kept clear, forecasts, robot, closest pair.
class Scene {
  constructor(data) {
    this.data = data;
    this.show = { forecast: true, radius: -1 }; // radius: the step whose it is, -1 for none
  }

  // A camera on the closest pair of a moment, or on the whole cell where there is none.
  closeUp(time) {
    const frame = this.frameAt(time);
    const ends = this.data.pair.subarray(6 * frame, 6 * frame + 6);
    const camera = new Camera(this.data.view);
    if (ends.length && !Number.isNaN(ends[0])) {
      camera.target = [0, 1, 2].map((i) => (ends[i] + ends[i + 3]) / 2);
      camera.distance = 3.6;
    }
    return camera;
  }

  frameAt(time) {
    return Math.max(lastNotAfter(this.data.time, time), 0);
  }

  draw(canvas, camera, time) {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.lineCap = "round";
    pen.lineJoin = "round";
    camera.resize(width, height).aim();
    this.pen = pen;
    this.camera = camera;
    this.paint = colours();
    this.small = width < 300;
    pen.fillStyle = this.paint.paper;
    pen.fillRect(0, 0, width, height);
    if (!this.data.time.length) return;
    const frame = this.frameAt(time);
    const groups = this.people(frame);
    const robot = this.robot(frame);
    this.floor();
    for (const group of groups) this.shadow(group.limbs);
    for (const group of groups) this.tube(group.row);
    if (robot) this.stand(robot);
    if (robot) groups.push({ depth: robot.depth, draw: () => this.drawRobot(robot) });
    groups.sort((a, b) => b.depth - a.depth);
    for (const group of groups) group.draw();
    this.pair(frame);
  }

  people(frame) {
    const { rows, person, positions, joints, ids } = this.data;
    const groups = [];
    for (let row = rows[frame]; row < rows[frame + 1]; row++) {
      const at = (joint) => positions.subarray(3 * (row * joints + joint), 3 * (row * joints + joint) + 3);
      const limbs = this.limbs(at);
      if (!limbs.length) continue;
      const depth = limbs.reduce((sum, limb) => sum + limb.depth, 0) / limbs.length;
      groups.push({ row, depth, limbs, draw: () => this.drawPerson(row, at, limbs, ids[person[row]]) });
    }
    return groups;
  }

  // Capsules of a body in pixels; the hand is added beyond a wrist.
  limbs(at) {
    const found = [];
    for (const [first, second, radius, reach] of this.data.limbs) {
      const a = at(first);
      let b = at(second);
      if (reach) {
        const length = Math.hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2]) || 1;
        b = b.map((value, i) => value + (reach * (value - a[i])) / length);
      }
      const capsule = this.capsule(a, b, radius);
      if (capsule) found.push(capsule);
    }
    return found;
  }

  capsule(a, b, radius) {
    const start = this.camera.project(...a);
    const end = this.camera.project(...b);
    if (!start || !end) return null;
    const depth = (start.depth + end.depth) / 2;
    return { a, b, start, end, radius, depth, width: radius * (start.scale + end.scale) };
  }

  line(start, end, colour, width, dash = []) {
    if (!start || !end) return;
    const { pen } = this;
    pen.setLineDash(dash);
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(start.x, start.y);
    pen.lineTo(end.x, end.y);
    pen.stroke();
  }

  // All outlines first, then all fills: the capsules run into one shape.
  volume(capsules, fill, edge) {
    for (const c of capsules) this.line(c.start, c.end, edge, c.width + 1.6);
    for (const c of capsules) this.line(c.start, c.end, fill, c.width);
  }

  floor() {
    const [x, y] = this.camera.target.map((value) => Math.round(value));
    for (let i = -6; i <= 6; i++) {
      for (const [a, b] of [
        [[x + i / 2, y - 3], [x + i / 2, y + 3]],
        [[x - 3, y + i / 2], [x + 3, y + i / 2]],
      ]) {
        const ends = [this.camera.project(...a, 0), this.camera.project(...b, 0)];
        this.line(...ends, this.paint.grid, this.small ? 0.6 : 1);
      }
    }
  }

  shadow(capsules) {
    for (const { a, b, radius } of capsules) {
      const flat = this.capsule([a[0], a[1], 0], [b[0], b[1], 0], radius);
      if (flat) this.line(flat.start, flat.end, this.paint.shade, flat.width);
    }
  }

  robot(frame) {
    const { robot, linkRadii } = this.data;
    const links = linkRadii.length;
    const capsules = [];
    for (let link = 0; link < links; link++) {
      const from = 6 * (frame * links + link);
      const made = this.capsule(
        robot.subarray(from, from + 3),
        robot.subarray(from + 3, from + 6),
        linkRadii[link],
      );
      if (made) capsules.push(made);
    }
    if (!capsules.length) return null;
    const depth = capsules.reduce((sum, c) => sum + c.depth, 0) / capsules.length;
    return { capsules, depth };
  }

  stand({ capsules: [base] }) {
    if (base.a[2] < 0.05) return;
    const foot = this.capsule([base.a[0], base.a[1], 0], base.a, base.radius);
    if (foot) this.line(foot.start, foot.end, this.paint.grid, foot.width);
  }

  drawRobot({ capsules }) {
    for (const link of [...capsules].sort((a, b) => b.depth - a.depth)) {
      this.volume([link], this.paint.robotFill, this.paint.robot);
    }
  }

  drawPerson(row, at, limbs, name) {
    const { paint } = this;
    this.volume(limbs, paint.personFill, paint.personEdge);
    if (this.show.forecast) this.ghosts(row);
    this.bones(at, paint.person, this.small ? 1.6 : 3);
    if (this.small || this.data.ids.length < 2) return;
    const top = limbs.reduce((best, limb) => (limb.start.y < best.y ? limb.start : best), limbs[0].start);
    this.label(name, top.x, top.y - 18, paint.person, 12);
  }

  step(row, step) {
    const { forecast, joints, steps } = this.data;
    const from = 3 * joints * (row * steps.length + step);
    return (joint) => forecast.subarray(from + 3 * joint, from + 3 * joint + 3);
  }

  // Where the person will be at a step, with the radius that is promised to hold. Under all else:
  // it is large, and must not hide what is there already.
  tube(row) {
    const { joints, steps, radius, limbs } = this.data;
    const step = this.show.radius;
    if (step < 0) return;
    const at = this.step(row, step);
    const from = joints * (row * steps.length + step);
    const capsules = [];
    for (const [a, b, , reach] of limbs) {
      if (reach) continue;
      const capsule = this.capsule(at(a), at(b), Math.max(radius[from + a], radius[from + b]));
      if (capsule) capsules.push(capsule);
    }
    this.volume(capsules, this.paint.forecastFill, this.paint.forecastEdge);
  }

  // Skeletons to come, paler the further ahead.
  ghosts(row) {
    const count = this.data.steps.length;
    for (let step = count - 1; step >= 0; step--) {
      this.pen.globalAlpha = 0.9 - (0.55 * (step + 1)) / count;
      this.bones(this.step(row, step), this.paint.forecast, this.small ? 0.9 : 1.6);
    }
    this.pen.globalAlpha = 1;
  }

  bones(at, colour, width) {
    for (const [first, second, , reach] of this.data.limbs) {
      if (reach) continue;
      this.line(this.camera.project(...at(first)), this.camera.project(...at(second)), colour, width);
    }
  }

  pair(frame) {
    const { pair } = this.data;
    const ends = pair.subarray(6 * frame, 6 * frame + 6);
    if (!ends.length || Number.isNaN(ends[0])) return;
    const [human, robot] = [ends.subarray(0, 3), ends.subarray(3, 6)];
    const a = this.camera.project(...human);
    const b = this.camera.project(...robot);
    if (!a || !b) return;
    this.line(a, b, this.paint.alarm, this.small ? 1.4 : 2.2);
    for (const end of [a, b]) this.line(end, end, this.paint.alarm, this.small ? 4 : 7);
    if (this.small) return;
    const gap = Math.hypot(...human.map((value, i) => value - robot[i]));
    this.label(`${gap.toFixed(2)} m`, (a.x + b.x) / 2, (a.y + b.y) / 2 - 14, this.paint.alarm, 15);
  }

  label(text, x, y, colour, size) {
    const { pen } = this;
    pen.setLineDash([]);
    pen.font = `600 ${size}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 4;
    pen.strokeStyle = this.paint.paper;
    pen.strokeText(text, x, y);
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }
}
