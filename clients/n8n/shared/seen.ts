// Which events a trigger has passed on already: in memory, for the life of the process, and in the workflow's stored data.

const MOST_IN_MEMORY = 10_000;
const MOST_STORED = 500;

export type State = 'new' | 'running' | 'done';

/**
 * The events of one trigger. Bounded: the oldest ids are forgotten first.
 *
 * A workflow that runs before the answer has its events here in memory alone: after a crash n8n must take them again.
 */
export class Seen {
	private readonly events = new Map<string, State>();

	/** Returns whether an event is new, is being processed, or is done. */
	stateOf(eventId: string, stored: readonly string[] = []): State {
		return this.events.get(eventId) ?? (stored.includes(eventId) ? 'done' : 'new');
	}

	/** Notes an event that begins or is done. */
	note(eventId: string, state: State): void {
		this.events.delete(eventId);
		this.events.set(eventId, state);
		const oldest = this.events.keys().next();
		if (this.events.size > MOST_IN_MEMORY && !oldest.done) this.events.delete(oldest.value);
	}

	/** Forgets an event whose workflow failed, so that the next attempt runs it again. */
	forget(eventId: string): void {
		this.events.delete(eventId);
	}
}

/** Returns the stored ids with a further one, without the oldest beyond the bound. */
export function withId(stored: readonly string[], eventId: string): string[] {
	return [...stored, eventId].slice(-MOST_STORED);
}
