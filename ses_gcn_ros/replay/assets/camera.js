// A perspective camera that looks at a point: yaw and pitch [rad], distance [m]; z is up.
class Camera {
  constructor({ target, distance, yaw, pitch }) {
    Object.assign(this, { target, distance, yaw, pitch });
    this.home = { distance, yaw, pitch };
    this.resize(1, 1);
  }

  resize(width, height) {
    this.width = width;
    this.height = height;
    this.focal = Math.min(height, 0.95 * width) / (2 * Math.tan((17.5 * Math.PI) / 180));
    return this;
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = clamp(this.pitch + pitch, -0.2, Math.PI / 2);
  }

  zoom(factor) {
    this.distance = clamp(this.distance * factor, 1, 40);
  }

  look(yaw, pitch) {
    Object.assign(this, { yaw, pitch, distance: this.home.distance });
  }

  // Call before projecting: what the angles mean for this picture.
  aim() {
    const [sy, cy, sp, cp] = [
      Math.sin(this.yaw),
      Math.cos(this.yaw),
      Math.sin(this.pitch),
      Math.cos(this.pitch),
    ];
    this.right = [sy, -cy, 0];
    this.up = [sp * cy, sp * sy, cp];
    this.ahead = [cp * cy, cp * sy, -sp];
  }

  // Point [m] to { x, y } [px], depth [m] and scale [px/m]; null behind the camera or unknown.
  project(x, y, z) {
    const dx = x - this.target[0];
    const dy = y - this.target[1];
    const dz = z - this.target[2];
    const along = (axis) => dx * axis[0] + dy * axis[1] + dz * axis[2];
    const depth = this.distance + along(this.ahead);
    if (!(depth > 0.2)) return null;
    const scale = this.focal / depth;
    return {
      x: this.width / 2 + scale * along(this.right),
      y: this.height / 2 - scale * along(this.up),
      depth,
      scale,
    };
  }
}
