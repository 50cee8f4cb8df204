// The report's script: values at the pointer in figures, the search of courses, light and dark.
// Without it the page holds the same numbers.
"use strict";
(() => {
  const data = (id) => {
    const e = document.getElementById(id);
    return e ? JSON.parse(e.textContent) : null;
  };
  const make = (tag, attributes = {}, text) => {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const draw = (tag, attributes, text) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    if (text !== undefined) e.textContent = text;
    return e;
  };

  // ---- light and dark: as the system, until the reader chooses
  const toggle = document.getElementById("theme");
  const dark = () =>
    (document.documentElement.dataset.theme ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = () => {
    toggle.textContent = dark() ? "Light" : "Dark";
    toggle.setAttribute("aria-label", dark() ? "Change to light colours" : "Change to dark colours");
  };
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    show();
  });
  show();

  // ---- values at the pointer, or at the arrow keys
  const percent = (value) => (value === null ? "not shown" : `${value.toFixed(1)} %`);
  const curveText = (figure, day) => [
    `Day ${day}`,
    ...figure.groups.map((group) => {
      const row = group.rows.filter((r) => r[0] <= day).pop();
      if (!row) return `${group.name}: no one observed`;
      const limits = row[2] === null || row[3] === null ? "" : ` (${row[2].toFixed(1)} to ${row[3].toFixed(1)})`;
      return `${group.name}: ${percent(row[1])}${limits}${row[4] === null ? "" : `, ${row[4]} at risk`}`;
    }),
  ];
  for (const [name, figure] of Object.entries(data("hover") || {})) {
    const svg = document.querySelector(`svg.figure[aria-labelledby^="${name}-title"]`);
    if (!svg) continue;
    const box = svg.viewBox.baseVal,
      holder = svg.closest("figure");
    const said = make("p", { class: "at-pointer", role: "status", "aria-live": "polite" });
    said.textContent = {
      curve: "Point at the curves, or focus the figure and use the arrow keys, for the values of a day.",
      rows: "Point at a row, or focus the figure and use the arrow keys.",
      points: "Point at a mark, or focus the figure and use the arrow keys.",
    }[figure.kind];
    holder.insertBefore(said, holder.firstChild);
    const points = figure.kind === "points" ? figure.rows.flatMap((row, r) => row.map((p) => [...p, r])) : [];
    const guide = draw(figure.kind === "points" ? "rect" : "line", { class: "guide", visibility: "hidden" });
    svg.append(guide);
    const place_guide = (attributes) => {
      for (const [k, v] of Object.entries(attributes)) guide.setAttribute(k, v);
    };
    let place = 0;
    const last =
      figure.kind === "curve"
        ? Math.max(...figure.groups.flatMap((g) => g.rows.map((r) => r[0])))
        : (figure.kind === "rows" ? figure.rows : points).length - 1;
    const at = (to) => {
      place = Math.min(Math.max(to, 0), last);
      if (figure.kind === "curve") {
        const x = box.x + box.width * (figure.left + ((figure.right - figure.left) * place) / figure.last);
        place_guide({ x1: x, x2: x, y1: box.y + box.height * figure.top, y2: box.y + box.height * figure.bottom });
        said.textContent = curveText(figure, place).join("   ·   ");
      } else if (figure.kind === "rows") {
        const y =
          box.y + box.height * (figure.top + ((figure.bottom - figure.top) * (place + 0.5)) / figure.rows.length);
        place_guide({ x1: box.x, x2: box.x + box.width, y1: y, y2: y });
        said.textContent = figure.rows[place] || "";
      } else {
        const [x, y, text] = points[place];
        place_guide({
          x: box.x + box.width * (x - figure.width / 2),
          y: box.y + box.height * (y - figure.height / 2),
          width: box.width * figure.width,
          height: box.height * figure.height,
        });
        said.textContent = text;
      }
      guide.setAttribute("visibility", "visible");
    };
    const nearest = (x, y) => {
      const distance = (p) => Math.hypot((p[0] - x) * box.width, (p[1] - y) * box.height);
      return points.reduce((best, p, i) => (distance(p) < distance(points[best]) ? i : best), 0);
    };
    // the point at the same place of the row above or below
    const beside = (rows) => {
      const row = points[place][3] + rows;
      const own = points.findIndex((p) => p[3] === points[place][3]);
      const first = points.findIndex((p) => p[3] === row);
      return first < 0 ? place : first + Math.min(place - own, figure.rows[row].length - 1);
    };
    svg.addEventListener("pointermove", (event) => {
      const r = svg.getBoundingClientRect();
      const x = (event.clientX - r.left) / r.width,
        y = (event.clientY - r.top) / r.height;
      if (figure.kind === "curve") at(Math.floor(((x - figure.left) / (figure.right - figure.left)) * figure.last));
      else if (figure.kind === "rows")
        at(Math.floor(((y - figure.top) / (figure.bottom - figure.top)) * figure.rows.length));
      else at(nearest(x, y));
    });
    svg.addEventListener("pointerleave", () => guide.setAttribute("visibility", "hidden"));
    const focused = svg.closest(".scroll") || holder;
    focused.setAttribute("tabindex", "0");
    focused.addEventListener("keydown", (event) => {
      const steps = {
        ArrowRight: 1,
        ArrowDown: 1,
        ArrowLeft: -1,
        ArrowUp: -1,
        PageDown: 10,
        PageUp: -10,
        Home: -last,
        End: last,
      };
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const vertical = event.key === "ArrowDown" || event.key === "ArrowUp";
      at(vertical && figure.kind === "points" ? beside(step) : place + step);
    });
  }

  // ---- courses of single patients (only in the page for members of the study)
  const courses = data("courses");
  if (!courses) return;
  const input = document.getElementById("course-search"),
    list = document.getElementById("course-list");
  const count = document.getElementById("course-count"),
    panel = document.getElementById("course");
  input.disabled = false;
  const names = courses.patients.map((p) => `${p.centre} ${p.number} ${p.id}`.toLowerCase());
  let found = [],
    active = -1;
  const choose = (index) => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.value = `${courses.patients[index].centre} ${courses.patients[index].number}`;
    showCourse(courses.patients[index]);
  };
  const mark = (to) => {
    active = to;
    [...list.children].forEach((e, i) => e.setAttribute("aria-selected", i === active));
    if (active < 0) input.removeAttribute("aria-activedescendant");
    else {
      input.setAttribute("aria-activedescendant", list.children[active].id);
      list.children[active].scrollIntoView({ block: "nearest" });
    }
  };
  const search = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = words.length
      ? names
          .map((n, i) => [n, i])
          .filter(([n]) => words.every((w) => n.includes(w)))
          .map(([, i]) => i)
      : [];
    found = all.slice(0, 30);
    list.replaceChildren(
      ...found.map((index, i) => {
        const p = courses.patients[index];
        const e = make(
          "li",
          { role: "option", id: `course-option-${i}`, "aria-selected": "false" },
          `${p.centre} ${p.number}`,
        );
        e.append(make("span", { class: "muted" }, ` ${p.group}${p.eligible ? "" : ", not eligible"}`));
        e.addEventListener("mousedown", (event) => {
          event.preventDefault();
          choose(index);
        });
        return e;
      }),
    );
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!!found.length));
    count.textContent = words.length
      ? `${all.length} patient${all.length === 1 ? "" : "s"}` +
        (all.length > found.length ? `, the first ${found.length} listed` : "")
      : "";
    mark(-1);
  };
  input.addEventListener("input", search);
  input.addEventListener("blur", () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (found.length) {
        list.hidden = false;
        mark((active + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
      }
    } else if (event.key === "Enter" && found.length) {
      event.preventDefault();
      choose(found[Math.max(active, 0)]);
    } else if (event.key === "Escape") {
      list.hidden = true;
      input.setAttribute("aria-expanded", "false");
    }
  });

  const series = (text) =>
    text
      ? text
          .split(";")
          .map((row) => row.split(","))
          .map(([day, plt, ldh, activity, tpe]) => ({
            day: +day,
            plt: plt === "" ? null : +plt,
            ldh: ldh === "" ? null : +ldh,
            activity,
            tpe: tpe === "?" ? null : +(tpe || 0),
          }))
      : [];
  const showCourse = (p) => {
    const days = series(p.days),
      t = courses.thresholds;
    const first = Math.min(0, ...days.map((d) => d.day)),
      end = Math.max(30, p.last ?? 0, ...days.map((d) => d.day));
    const W = 900,
      left = 60,
      right = 880,
      x = (day) => left + ((right - left) * (day - first)) / (end - first || 1);
    const top = { plt: 20, ldh: 230, act: 350 },
      height = { plt: 180, ldh: 90, act: 80 };
    const most = {
      plt: Math.max(200, ...days.map((d) => d.plt ?? 0)),
      ldh: Math.max(2, ...days.map((d) => d.ldh ?? 0)),
      act: 110,
    };
    const y = (what, value) => top[what] + height[what] * (1 - Math.min(value, most[what]) / most[what]);
    const svg = draw("svg", {
      viewBox: `0 0 ${W} 520`,
      class: "course",
      role: "img",
      "aria-label": `Course of ${p.centre} ${p.number}: the days and values are in the table beneath`,
    });
    for (const [start, stop] of p.capla)
      svg.append(
        draw("rect", {
          class: "on-drug",
          x: x(start),
          width: Math.max(2, x(stop ?? end) - x(start)),
          y: top.plt,
          height: 420,
        }),
      );
    for (const [what, label, limits] of [
      ["plt", "Platelets, 10⁹/L", [t.platelets]],
      ["ldh", "LDH, × ULN", [t.ldh]],
      ["act", "ADAMTS13, %", t.adamts13],
    ]) {
      svg.append(
        draw("rect", { class: "frame", x: left, y: top[what], width: right - left, height: height[what] }),
        draw("text", { class: "axis", x: left, y: top[what] - 6 }, `${label} (0 to ${Math.ceil(most[what])})`),
      );
      for (const limit of limits)
        svg.append(
          draw("line", { class: "limit", x1: left, x2: right, y1: y(what, limit), y2: y(what, limit) }),
          draw(
            "text",
            {
              class: "tick",
              x: left - 6,
              y: y(what, limit) + (limits.length > 1 ? (limit === limits[0] ? 10 : -2) : 4),
              "text-anchor": "end",
            },
            limit,
          ),
        );
    }
    const line = (what, value) => {
      const known = days.filter((d) => value(d) !== null);
      svg.append(
        draw("polyline", {
          class: `line ${what}`,
          points: known.map((d) => `${x(d.day)},${y(what, value(d))}`).join(" "),
        }),
      );
      for (const d of known) {
        const dot = draw("circle", { class: `dot ${what}`, cx: x(d.day), cy: y(what, value(d)), r: 2.6 });
        dot.append(draw("title", {}, `Day ${d.day}: ${what === "act" ? d.activity + " %" : value(d)}`));
        svg.append(dot);
      }
    };
    line("plt", (d) => d.plt);
    line("ldh", (d) => d.ldh);
    line("act", (d) => (d.activity ? +d.activity.replace(/[<>]/, "") : null));
    for (const d of days.filter((e) => e.tpe))
      svg.append(draw("line", { class: "tpe", x1: x(d.day), x2: x(d.day), y1: 446, y2: 462 }));
    svg.append(draw("text", { class: "tick", x: left - 6, y: 459, "text-anchor": "end" }, "TPE"));
    if (days.some((d) => d.tpe === null))
      svg.append(draw("text", { class: "tick", x: left + 6, y: 459 }, "not known on every day"));
    const step = [1, 5, 10, 15, 30, 60, 90, 180].find((s) => (end - first) / s <= 14) || 365;
    for (let day = Math.ceil(first / step) * step; day <= end; day += step)
      svg.append(draw("text", { class: "tick", x: x(day), y: 480, "text-anchor": "middle" }, day));
    svg.append(
      draw(
        "text",
        { class: "axis", x: left, y: 502 },
        "Days from the first plasma exchange; shaded: caplacizumab; ticks: exchanges; dashed: thresholds. " +
          `${document.body.dataset.kind}.`,
      ),
    );
    const marked = new Map();
    for (const [outcome, day, status] of p.events)
      if (day !== null && day >= first && day <= end && status !== "no")
        marked.set(day, [...(marked.get(day) || []), outcome]);
    for (const [day, outcomes] of marked) {
      svg.append(draw("line", { class: "event", x1: x(day), x2: x(day), y1: top.plt, y2: 440 }));
      svg.append(
        draw(
          "text",
          {
            class: "event-label",
            x: x(day) + 4,
            y: top.plt + 12,
            transform: `rotate(90 ${x(day) + 4} ${top.plt + 12})`,
          },
          outcomes.join(", "),
        ),
      );
    }
    const table = (caption, heads, rows) => {
      const wrap = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }),
        e = make("table", { class: "compact" });
      e.append(make("caption", {}, caption));
      const head = make("tr");
      heads.forEach((h) => head.append(make("th", { scope: "col", class: "text" }, h)));
      const thead = make("thead");
      thead.append(head);
      e.append(thead);
      const body = make("tbody");
      rows.forEach((row) => {
        const tr = make("tr");
        row.forEach((cell, i) =>
          tr.append(make(i ? "td" : "th", i ? { class: "text" } : { scope: "row" }, cell ?? "")),
        );
        body.append(tr);
      });
      e.append(body);
      wrap.append(e);
      return wrap;
    };
    const heading = make("h3", { tabindex: "-1" }, `${p.centre} ${p.number}`);
    const about = make(
      "p",
      { class: "note" },
      [
        p.id,
        p.group,
        ...(p.eligible ? [] : [`not eligible: ${p.reason}`]),
        p.last === null ? "last seen on an unknown day" : `last seen on day ${p.last}`,
        ...(p.died === "yes" ? [`died${p.death === null ? "" : ` on day ${p.death}`}`] : []),
      ].join(" · "),
    );
    const print = make("button", { type: "button", class: "quiet" }, "Print this course");
    print.addEventListener("click", () => {
      document.body.classList.add("one-course");
      window.print();
      document.body.classList.remove("one-course");
    });
    const details = make("details");
    details.append(make("summary", {}, "Day by day"));
    details.append(
      table(
        "Results and exchanges by day",
        ["Day", "Platelets", "LDH × ULN", "ADAMTS13 %", "TPE sessions"],
        days.map((d) => [d.day, d.plt ?? "", d.ldh ?? "", d.activity, d.tpe ?? "not known"]),
      ),
    );
    panel.replaceChildren(
      heading,
      about,
      print,
      Object.assign(make("div", { class: "scroll", tabindex: "0" }), {}),
      table("Outcomes and what decided them", ["Outcome", "Day", "Status", "Evidence"], p.events),
      details,
    );
    panel.querySelector(".scroll").append(svg);
    heading.focus();
  };
})();
