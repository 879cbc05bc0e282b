// Lines over the last ten minutes. uPlot draws; the legend is ours, with text nodes only, and says what the pointer is
// at, or the last values.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";

import { useSurroundings } from "./hooks.js";
import { UNKNOWN, clock } from "./format.js";

const HEIGHT = 180;
const SPAN_S = 600;

/** `lines`: [{name, values, dashed, color: 0...7}], beside `times` in seconds; `format` makes text of a value. */
export function Chart({ title, times, lines, format, quiet = "Nothing yet." }) {
  const { theme } = useSurroundings();
  const frame = useRef(null);
  const plot = useRef(null);
  const [pointed, setPointed] = useState(null);
  const shape = lines.map((line) => `${line.name}\n${line.dashed}\n${line.color}`).join("\n\n");
  const isEmpty = lines.length === 0;

  useLayoutEffect(() => {
    if (isEmpty) return undefined;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: color("--muted"),
      grid: { stroke: color("--grid"), width: 1 },
      ticks: { show: false },
      font: `11px ${color("--sans")}`,
    };
    plot.current = new uPlot(
      {
        width: frame.current.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        pxAlign: true,
        padding: [10, 26, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: {
          x: { time: true, range: (_, min, max) => [Math.max(max - SPAN_S, Math.min(min, max - 60)), max] },
          y: { range: (_, min, max) => [0, Math.max(max * 1.1, 1)] },
        },
        axes: [
          {
            ...axis,
            space: 80,
            size: 24,
            gap: 4,
            values: (_, times) => times.map((time) => clock(new Date(time * 1000))),
          },
          { ...axis, size: 64, space: 36, values: (_, values) => values.map(format) },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            stroke: color(`--line-${line.color % 8}`),
            width: 1.6,
            dash: line.dashed ? [5, 4] : undefined,
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [(chart) => setPointed(chart.cursor.idx ?? null)] },
      },
      [times, ...lines.map((line) => line.values)],
      frame.current,
    );
    const watcher = new ResizeObserver(() =>
      plot.current?.setSize({ width: frame.current.clientWidth, height: HEIGHT }),
    );
    watcher.observe(frame.current);
    return () => {
      watcher.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [shape, theme.shown, isEmpty]);
  useEffect(() => plot.current?.setData([times, ...lines.map((line) => line.values)]));

  const at = pointed !== null && pointed < times.length ? pointed : times.length - 1;
  return (
    <figure class="chart card" aria-label={title}>
      <figcaption>
        {title}
        {pointed !== null && times[at] !== undefined && <time>{clock(new Date(times[at] * 1000))}</time>}
      </figcaption>
      {isEmpty ? <p class="empty">{quiet}</p> : <div class="plot" ref={frame} aria-hidden="true" />}
      <ul class="legend">
        {lines.map((line) => (
          <li key={line.name}>
            <span class={`swatch line-${line.color % 8}${line.dashed ? " dashed" : ""}`} aria-hidden="true" />
            {line.name}{" "}
            <b>{line.values[at] === null || line.values[at] === undefined ? UNKNOWN : format(line.values[at])}</b>
          </li>
        ))}
      </ul>
    </figure>
  );
}
