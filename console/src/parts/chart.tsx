// A graph of one figure over the time that the console has been open, with its latest value in words.
import { useSyncExternalStore } from "react";
import { absolute } from "../text.js";

export interface Sample {
  at: number;
  values: Record<string, number>;
}

// An hour of samples, five seconds apart. They outlast the page of a route, and nothing else.
const KEPT = 720;
let samples: Sample[] = [];
const listeners = new Set<() => void>();

export function noteSample(sample: Sample): void {
  if (samples.at(-1)?.at === sample.at) return;
  samples = [...samples, sample].slice(-KEPT);
  for (const changed of listeners) changed();
}

function listen(changed: () => void): () => void {
  listeners.add(changed);
  return () => listeners.delete(changed);
}

export function useSamples(): Sample[] {
  return useSyncExternalStore(listen, () => samples);
}

const WIDTH = 100;
const HEIGHT = 40;

// The points of a line within the box, the newest at its right end.
export function pointsOf(shown: { at: number; value: number }[]): string {
  const first = shown[0]?.at ?? 0;
  const span = Math.max((shown.at(-1)?.at ?? 0) - first, 1);
  const top = Math.max(...shown.map((one) => one.value), 1);
  return shown.map(({ at, value }) => `${(((at - first) / span) * WIDTH).toFixed(2)},${(HEIGHT - (value / top) * HEIGHT).toFixed(2)}`).join(" ");
}

export function Chart({ name, label, unit = "" }: { name: string; label: string; unit?: string }) {
  const shown = useSamples().flatMap(({ at, values }) => (name in values ? [{ at, value: values[name] ?? 0 }] : []));
  const latest = shown.at(-1)?.value ?? 0;
  const most = Math.max(0, ...shown.map((one) => one.value));
  const said = (value: number) => `${value.toLocaleString("en", { maximumFractionDigits: 1 })}${unit}`;
  return (
    <figure>
      <figcaption><span>{label} <strong>{said(latest)}</strong></span> <span>at most {said(most)}</span></figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${label}: ${said(latest)} now, ${said(most)} at most`}>
        <line x1="0" y1={HEIGHT} x2={WIDTH} y2={HEIGHT} />
        {shown.length > 1 && <polyline points={pointsOf(shown)} />}
      </svg>
      <span className="faint">{shown[0] ? `since ${absolute(new Date(shown[0].at))}` : "no sample yet"}</span>
    </figure>
  );
}
