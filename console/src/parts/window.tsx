// A table of any length: only the rows near the visible part of the page are in the document. All rows have one height,
// which the style sheet decides.
import { useLayoutEffect, useRef, useState, type ReactNode } from "react";

const BEYOND = 10;
const FIRST = 40;

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

export function WindowTable<Item>({ label, columns, items, row }: {
  label: string; columns: string[]; items: Item[]; row: (item: Item) => { key: string; cells: ReactNode[] };
}) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [place, setPlace] = useState<Place>({ from: 0, to: FIRST, height: 0 });
  useLayoutEffect(() => {
    let frame = 0;
    const moved = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setPlace((last) => placeOf(body.current, last));
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
  const to = Math.min(items.length, place.to);
  const from = Math.min(place.from, Math.max(0, to - 1));
  return (
    <table aria-label={label} aria-rowcount={items.length + 1} className="window">
      <thead><tr aria-rowindex={1}>{columns.map((column) => <th key={column} scope="col">{column}</th>)}</tr></thead>
      <tbody ref={body}>
        <Gap height={from * place.height} columns={columns.length} />
        {items.slice(from, to).map(row).map(({ key, cells }, at) => (
          <tr key={key} data-row="" aria-rowindex={from + at + 2}>
            {cells.map((cell, place) => <td key={columns[place]} data-label={columns[place]}>{cell}</td>)}
          </tr>
        ))}
        <Gap height={(items.length - to) * place.height} columns={columns.length} />
      </tbody>
    </table>
  );
}

// The room of the rows that are not in the document.
function Gap({ height, columns }: { height: number; columns: number }) {
  return height > 0 ? <tr aria-hidden="true" className="gap"><td colSpan={columns} style={{ height }} /></tr> : null;
}
