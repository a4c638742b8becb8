// Values of a node's fields, as mailmesh takes them.

/** Returns the parts of a list that a person writes with commas, or that an expression gives as an array. */
export function listOf(value: unknown): string[] {
	const parts = Array.isArray(value) ? value.map(String) : String(value ?? '').split(',');
	return parts.map((part) => part.trim()).filter((part) => part !== '');
}
