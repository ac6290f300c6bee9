"use strict";
(() => {
  const root = document.documentElement;
  const say = (text) => { document.getElementById("live").textContent = text; };

  // Light and dark: as the system has it, until somebody says otherwise.
  const theme = document.querySelector(".theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const showTheme = () => { theme.setAttribute("aria-pressed", String(isDark())); };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; showTheme(); });
  dark.addEventListener("change", showTheme);
  showTheme();

  // Tables: each column's button sorts the rows of the first body; what is not known stays last.
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      button?.addEventListener("click", () => {
        const downwards = head.getAttribute("aria-sort")
          ? head.getAttribute("aria-sort") === "ascending"
          : head.dataset.first === "descending";
        const sign = downwards ? -1 : 1;
        const rows = [...table.tBodies[0].rows].sort((one, other) => {
          const [a, b] = [valueOf(one, column), valueOf(other, column)];
          if (a === null || b === null) return (a === null) - (b === null);
          return sign * compare(a, b);
        });
        table.tBodies[0].append(...rows);
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", downwards ? "descending" : "ascending");
        say(`sorted by ${button.textContent}, ${downwards ? "greatest" : "least"} first`);
      });
    });
  }

  // The pictures: by class and by right or wrong.
  const filter = document.getElementById("filter");
  if (filter) {
    const shots = [...document.querySelectorAll(".shot")];
    const show = () => {
      const truth = filter.elements.truth.value;
      const result = filter.elements.result.value;
      let count = 0;
      for (const shot of shots) {
        const fits = (!truth || shot.dataset.truth === truth) && (!result || shot.classList.contains(result));
        shot.hidden = !fits;
        count += fits;
      }
      filter.elements.count.value = `${count} of ${shots.length} shown`;
    };
    filter.hidden = false;
    filter.addEventListener("change", show);
    filter.addEventListener("submit", (event) => event.preventDefault());
    // A browser that comes back to the page may have kept the choice.
    show();
  }

  // The map: a picture per point, found with the pointer or with the arrow keys.
  const plane = document.querySelector(".plane");
  if (plane) {
    const { classes, points, thumbnails } = JSON.parse(document.getElementById("map-data").textContent);
    const svg = plane.querySelector("svg");
    const marks = [...svg.querySelectorAll("use")];
    const cursor = svg.querySelector(".cursor");
    const tip = document.querySelector(".tip");
    const shown = new Map();
    for (const image of document.querySelectorAll(".shot img")) shown.set(image.dataset.key, image.src);
    let layout = plane.dataset.layout;
    let at = -1;
    const placeOf = (point) => point[layout];
    const select = (index) => {
      at = index;
      const point = points[index];
      const [x, y] = placeOf(point);
      cursor.setAttribute("cx", x);
      cursor.setAttribute("cy", y);
      cursor.removeAttribute("visibility");
      const source = thumbnails[point.key] ?? shown.get(point.key);
      const words = [point.path, classes[point.truth]];
      const said = `predicted ${classes[point.predicted]}${point.sure ? ` ${point.sure}` : ""}`;
      tip.replaceChildren();
      if (source) {
        const image = document.createElement("img");
        image.src = source;
        image.alt = "";
        tip.append(image);
      }
      for (const text of [...words, said]) {
        const line = document.createElement("div");
        line.textContent = text;
        tip.append(line);
      }
    };
    const nearest = (x, y, within, better) => {
      let best = -1;
      let least = within;
      points.forEach((point, index) => {
        const [dx, dy] = [placeOf(point)[0] - x, placeOf(point)[1] - y];
        const distance = better ? better(dx, dy) : Math.hypot(dx, dy);
        if (index !== at && distance < least) { least = distance; best = index; }
      });
      return best;
    };
    svg.addEventListener("pointermove", (event) => {
      const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const before = at;
      at = -1;
      const found = nearest(spot.x, spot.y, 30);
      at = before;
      if (found >= 0 && found !== at) select(found);
    });
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    plane.addEventListener("keydown", (event) => {
      const way = ways[event.key];
      if (!way) return;
      event.preventDefault();
      if (at < 0) { select(nearest(500, 500, Infinity)); return; }
      const [x, y] = placeOf(points[at]);
      // The nearest point that lies more in this direction than to the side of it.
      const found = nearest(x, y, Infinity, (dx, dy) => {
        const along = dx * way[0] + dy * way[1];
        const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
        return along > 0 && along >= aside ? along + 2 * aside : Infinity;
      });
      if (found >= 0) select(found);
    });
    for (const button of document.querySelectorAll("[data-class]")) {
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") !== "true";
        for (const each of document.querySelectorAll("[data-class]")) each.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(pressed));
        plane.classList.toggle("chosen", pressed);
        marks.forEach((mark, index) => mark.classList.toggle("on", points[index].truth === Number(button.dataset.class)));
      });
    }
    const layouts = document.getElementById("layouts");
    if (layouts) {
      layouts.hidden = false;
      layouts.addEventListener("change", () => {
        layout = layouts.elements.layout.value;
        marks.forEach((mark, index) => {
          const [x, y] = placeOf(points[index]);
          mark.setAttribute("x", x);
          mark.setAttribute("y", y);
        });
        if (at >= 0) select(at);
      });
    }
  }

  // On paper nothing can be unfolded.
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
})();
