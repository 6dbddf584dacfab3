// Images of the λ player: what each method takes them for.

/** The images and, under them, a row of answers for each method. */
class ImageBoard {
  constructor(data, bytes) {
    this.data = data;
    this.rows = data.methods.map((method) => this.row(method));
    this.element = make("div", { class: "board" }, this.header(bytes.images), ...this.rows.map((row) => row.element));
    this.element.style.setProperty("--images", data.truth.length);
    this.element.classList.toggle("named", data.classes.some((name) => name.length > 2));
  }

  header(pixels) {
    const { truth, classes, shape, split, paper } = this.data;
    const size = shape[0] * shape[1] * shape[2];
    const cells = truth.map((label, i) => {
      const canvas = make("canvas", { role: "img", "aria-label": `Image ${i + 1}: ${classes[label]}` });
      paint(canvas, pixels.subarray(i * size, (i + 1) * size), shape, paper);
      return make("li", { title: classes[label] }, canvas);
    });
    const words = make("p", { class: "words" }, `What the network at this λ takes ${truth.length} ${split} images for`);
    return make("div", { class: "row header" }, words, make("ul", { class: "images", "aria-label": "Images" }, ...cells));
  }

  row(method) {
    const head = methodHead(method, this.data);
    const cells = this.data.truth.map(() => {
      const parts = {
        item: make("li", { class: "cell" }),
        answer: make("span", { class: "answer" }),
        mark: make("span", { class: "mark" }),
        bar: make("span", { class: "bar" }),
      };
      const face = make("span", { class: "face", "aria-hidden": "true" }, parts.answer, parts.mark);
      parts.words = make("span", { class: "hidden" });
      parts.item.append(face, make("span", { class: "rail", "aria-hidden": "true" }, parts.bar), parts.words);
      return parts;
    });
    const list = make("ul", { class: "images", "aria-label": `Answers, ${method.label}` }, ...cells.map((c) => c.item));
    const element = make("section", { class: "row", "aria-label": method.label }, head.element, list);
    element.style.setProperty("--method", method.color);
    return { element, method, head, cells };
  }

  show(at) {
    for (const { method, head, cells } of this.rows) {
      head.show(at);
      cells.forEach((cell, i) => this.fill(cell, i, method.answer[at][i], method.confidence[at][i]));
    }
  }

  fill(cell, i, answer, confidence) {
    const right = answer === this.data.truth[i];
    const name = this.data.classes[answer];
    const share = `${Math.round(100 * confidence)}%`;
    cell.item.classList.toggle("right", right);
    cell.item.title = `${right ? "Right" : "Wrong"}: ${name} with ${share}`;
    cell.answer.textContent = name;
    cell.mark.textContent = right ? "✓" : "✗";
    cell.bar.style.width = share;
    cell.words.textContent = `Image ${i + 1}: ${name}, ${right ? "right" : "wrong"}, ${share}`;
  }
}

/** An image of bytes, one canvas pixel for each; grey or colour, on `paper` with dark and bright exchanged. */
function paint(canvas, values, [height, width, channels], paper) {
  canvas.height = height;
  canvas.width = width;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      const value = values[i * channels + (channels === 3 ? c : 0)];
      pixels.data[4 * i + c] = paper ? 255 - value : value;
    }
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}
