// A table of any length: only the rows near the visible part of the page are in the document, and the row that has the
// focus, which would else be lost. All rows have one height, which the style sheet decides.
import { memo, useLayoutEffect, useRef, useState, type FocusEvent, type ReactNode } from "react";
import { flushSync } from "react-dom";

const BEYOND = 10;
const FIRST = 40;
// The row of the heads is the first, and the numbers of rows begin with 1.
const HEAD = 2;

interface Place {
  from: number;
  to: number;
  height: number;
}

// Which rows are near the visible part, from the place of the table and the height of its first row.
function placeOf(body: HTMLTableSectionElement | null, last: Place): Place {
  const row = body?.querySelector("tr[data-row]");
  if (!body || !row) return last;
  const height = row.getBoundingClientRect().height + Number.parseFloat(getComputedStyle(row).marginBottom || "0");
  if (height <= 0) return last;
  const hidden = Math.max(0, -body.getBoundingClientRect().top);
  const from = Math.max(0, Math.floor(hidden / height) - BEYOND);
  const to = Math.ceil((hidden + window.innerHeight) / height) + BEYOND;
  return from === last.from && to === last.to && height === last.height ? last : { from, to, height };
}

// The rows in the document: those of the window and, where it is outside, the one that is kept.
function rowsOf(from: number, to: number, kept: number): number[] {
  const near = Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
  if (kept >= 0 && kept < from) return [kept, ...near];
  return kept >= to ? [...near, kept] : near;
}

interface Shown<Item> {
  columns: string[];
  // A function that stays the same while its cells do: a row is drawn again only when it, the item or the place has changed.
  cells: (item: Item) => ReactNode[];
}

function RowOf<Item>({ columns, cells, item, index }: Shown<Item> & { item: Item; index: number }) {
  return (
    <tr data-row="" aria-rowindex={index + HEAD}>
      {cells(item).map((cell, column) => <td key={columns[column]} data-label={columns[column]}>{cell}</td>)}
    </tr>
  );
}

// A scroll changes few rows of those in the document.
const Row = memo(RowOf) as typeof RowOf;

export function WindowTable<Item>({ label, columns, items, keyOf, cells }: Shown<Item> & {
  label: string; items: Item[]; keyOf: (item: Item) => string;
}) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [place, setPlace] = useState<Place>({ from: 0, to: FIRST, height: 0 });
  useLayoutEffect(() => {
    let frame = 0;
    const moved = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        // Within this frame: rows that are drawn in a later one would leave this one empty.
        flushSync(() => setPlace((last) => placeOf(body.current, last)));
      });
    };
    moved();
    window.addEventListener("scroll", moved, { passive: true });
    window.addEventListener("resize", moved);
    return () => {
      cancelAnimationFrame(frame);
      window.removeEventListener("scroll", moved);
      window.removeEventListener("resize", moved);
    };
  }, []);
  const [focused, setFocused] = useState<Item>();
  const focus = (event: FocusEvent) => {
    const index = Number(event.target.closest("tr")?.getAttribute("aria-rowindex"));
    setFocused(() => items[index - HEAD]);
  };
  // An element keeps the focus while another window has it.
  const blur = () => {
    if (!body.current?.contains(document.activeElement)) setFocused(undefined);
  };
  const to = Math.min(items.length, place.to);
  const from = Math.min(place.from, Math.max(0, to - 1));
  const gap = (name: string, rows: number) => <Gap key={`gap ${name}`} height={rows * place.height} columns={columns.length} />;
  // The order of what stays is kept, also that of the gaps: a row that React moved would lose the focus.
  const inside: ReactNode[] = [];
  let end = 0;
  for (const index of rowsOf(from, to, focused === undefined ? -1 : items.indexOf(focused))) {
    if (index > end || end === 0) inside.push(gap(end === 0 ? "before" : "between", index - end));
    const item = items[index] as Item;
    inside.push(<Row key={keyOf(item)} columns={columns} cells={cells} item={item} index={index} />);
    end = index + 1;
  }
  inside.push(gap("after", items.length - end));
  return (
    <table aria-label={label} aria-rowcount={items.length + 1} className="window">
      <thead><tr aria-rowindex={1}>{columns.map((column) => <th key={column} scope="col">{column}</th>)}</tr></thead>
      <tbody ref={body} onFocus={focus} onBlur={blur}>{inside}</tbody>
    </table>
  );
}

// The room of the rows that are not in the document.
function Gap({ height, columns }: { height: number; columns: number }) {
  return height > 0 ? <tr aria-hidden="true" className="gap"><td colSpan={columns} style={{ height }} /></tr> : null;
}
