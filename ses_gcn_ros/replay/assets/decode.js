// Typed arrays out of base64; millimetres become metres, the lowest integer says "unknown".
const KINDS = { f4: Float32Array, u1: Uint8Array, u4: Uint32Array, i2: Int16Array };

function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const values = new KINDS[packed.kind](bytes.buffer);
  if (!packed.unit) return values;
  const scaled = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    scaled[i] = values[i] === -32768 ? NaN : values[i] * packed.unit;
  }
  return scaled;
}

function unpackAll(group) {
  return Object.fromEntries(
    Object.entries(group).map(([name, value]) => [
      name,
      value && value.data !== undefined ? unpack(value) : value,
    ]),
  );
}

// Index of the last entry of sorted `times` that is not after `time`; -1 before the first.
function lastNotAfter(times, time) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time + 1e-4) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function metres(value) {
  if (Number.isNaN(value)) return "unknown";
  return Number.isFinite(value) ? `${value.toFixed(2)} m` : "nobody near";
}

function clock(seconds) {
  if (seconds < 100) return `${seconds.toFixed(2)} s`;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")} min`;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
}
