// Points in the plane: what each method answers everywhere, as a map in the colours of the classes.

const FINE = 288; // canvas pixels a side of the map
const TINT = 0.42; // how much of a class colour lies on the paper where the network is sure
const PAPER = [255, 255, 255]; // in the dark theme too, so that a map looks the same on every projector
const INK = "#0c141c";
const SHAPES = ["circle", "square", "triangle"];

/** A map for each method, side by side. */
class PlaneBoard {
  constructor(data, bytes) {
    this.data = data;
    this.colors = data.colors.map(rgb);
    this.maps = data.methods.map((method, k) => this.map(method, bytes.planes[k]));
    const words = `The ${data.split} error beside each map is over the whole set; ${data.truth.length} test points are drawn.`;
    const legend = make("ul", { class: "legend" }, ...data.classes.map((name, k) => this.key(name, k)));
    const wrong = make("li", {}, swatch(null), "answered wrongly");
    legend.append(wrong);
    const maps = make("div", { class: "maps" }, ...this.maps.map((map) => map.element));
    this.element = make("div", { class: "board" }, make("p", { class: "words" }, words), legend, maps);
  }

  key(name, k) {
    return make("li", {}, swatch(this.data.colors[k], SHAPES[k % SHAPES.length]), `class ${name}`);
  }

  map(method, plane) {
    const head = methodHead(method, this.data);
    const [left, right, bottom, top] = this.data.extent;
    const canvas = make("canvas", { role: "img", width: FINE, height: Math.round((FINE * (top - bottom)) / (right - left)) });
    const element = make("section", { class: "map", "aria-label": method.label }, head.element, canvas);
    element.style.setProperty("--method", method.color);
    return { element, method, head, canvas, plane };
  }

  show(at) {
    for (const { method, head, canvas, plane } of this.maps) {
      head.show(at);
      this.paint(canvas, plane, at);
      const wrong = this.dots(canvas, method.answer[at]);
      canvas.setAttribute("aria-label", `Decision map, λ = ${this.data.lams[at].toFixed(2)}: ` +
        `${wrong} of ${this.data.truth.length} drawn points are answered wrongly`);
    }
  }

  /** Class colours blended by probability, and a line where the answer changes. */
  paint(canvas, plane, at) {
    const { side, colors } = this.data;
    const classes = colors.length;
    const { width, height } = canvas;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    const answers = new Uint8Array(width * height);
    const p = new Float32Array(classes);
    const size = side * side * (classes - 1);
    for (let y = 0; y < height; y++) {
      const v = ((height - 1 - y) / (height - 1)) * (side - 1); // the plane begins at the bottom
      for (let x = 0; x < width; x++) {
        blend(p, plane, at * size, side, (x / (width - 1)) * (side - 1), v);
        const i = y * width + x;
        answers[i] = largest(p);
        for (let c = 0; c < 3; c++) {
          let value = (1 - TINT) * PAPER[c];
          for (let k = 0; k < classes; k++) value += TINT * p[k] * this.colors[k][c];
          pixels.data[4 * i + c] = value;
        }
        pixels.data[4 * i + 3] = 255;
      }
    }
    edge(pixels, answers, width, height);
    context.putImageData(pixels, 0, 0);
  }

  /** The test points over the map, wrong ones ringed and on top; how many are wrong. */
  dots(canvas, answers) {
    const { points, truth, extent, colors } = this.data;
    const [left, right, bottom, top] = extent;
    const context = canvas.getContext("2d");
    const wrong = truth.map((label, i) => label !== answers[i]);
    const order = [...points.keys()].sort((i, j) => wrong[i] - wrong[j]);
    for (const i of order) {
      const x = ((points[i][0] - left) / (right - left)) * (canvas.width - 1);
      const y = ((top - points[i][1]) / (top - bottom)) * (canvas.height - 1);
      trace(context, SHAPES[truth[i] % SHAPES.length], x, y, wrong[i] ? 4.4 : 2.8);
      context.fillStyle = colors[truth[i]];
      context.fill();
      context.lineWidth = wrong[i] ? 1.8 : 0.7;
      context.strokeStyle = wrong[i] ? INK : "#ffffff";
      context.stroke();
    }
    return wrong.filter(Boolean).length;
  }
}

/** Probabilities between four grid points, into `p`; that of the last class is what is missing to one. */
function blend(p, plane, start, side, u, v) {
  const kept = p.length - 1;
  const j = Math.min(side - 2, Math.floor(u));
  const i = Math.min(side - 2, Math.floor(v));
  const a = u - j;
  const b = v - i;
  const low = start + (i * side + j) * kept;
  const high = low + side * kept;
  p[kept] = 1;
  for (let k = 0; k < kept; k++) {
    const under = (1 - a) * plane[low + k] + a * plane[low + kept + k];
    const over = (1 - a) * plane[high + k] + a * plane[high + kept + k];
    p[k] = ((1 - b) * under + b * over) / 255;
    p[kept] -= p[k];
  }
}

function largest(p) {
  let best = 0;
  for (let k = 1; k < p.length; k++) if (p[k] > p[best]) best = k;
  return best;
}

function edge(pixels, answers, width, height) {
  const ink = rgb(INK);
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      const i = y * width + x;
      if (answers[i] === answers[i + 1] && answers[i] === answers[i + width]) continue;
      for (const place of [i, i + 1, i + width]) for (let c = 0; c < 3; c++) pixels.data[4 * place + c] = ink[c];
    }
  }
}

function trace(context, shape, x, y, r) {
  context.beginPath();
  if (shape === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  else {
    context.moveTo(x, y - 1.2 * r);
    context.lineTo(x + 1.1 * r, y + 0.8 * r);
    context.lineTo(x - 1.1 * r, y + 0.8 * r);
    context.closePath();
  }
}

/** A small picture for the legend; without a colour the ring of a wrong answer. */
function swatch(color, shape = "circle") {
  const canvas = make("canvas", { class: "swatch", width: 40, height: 40, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  trace(context, shape, 20, 20, 13);
  context.fillStyle = color ?? "#ffffff";
  context.fill();
  context.lineWidth = color ? 2 : 6;
  context.strokeStyle = color ? "#ffffff" : "#7a7f87";
  context.stroke();
  return canvas;
}

function rgb(color) {
  return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
}
