// Where a follower keeps its cursor.

import { open, readFile, rename } from "node:fs/promises";

/** Keeps the cursor of one follower. */
export interface CursorStore {
  /** Returns the saved cursor, or "" when there is none. */
  load(): Promise<string> | string;
  /** Replaces the saved cursor. After a crash, the store has the old or the new one. Safe to call again. */
  save(cursor: string): Promise<void> | void;
}

/** Keeps the cursor until the process ends. */
export class MemoryCursorStore implements CursorStore {
  constructor(private cursor = "") {}

  load(): string {
    return this.cursor;
  }

  save(cursor: string): void {
    this.cursor = cursor;
  }
}

/** Keeps the cursor in a file of one follower, which a crash leaves whole. The file's folder exists. */
export class FileCursorStore implements CursorStore {
  constructor(private readonly path: string) {}

  async load(): Promise<string> {
    try {
      return (await readFile(this.path, "ascii")).trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
      throw error;
    }
  }

  /** Puts a new file in the place of the old one, after its bytes are on disk. */
  async save(cursor: string): Promise<void> {
    const file = await open(`${this.path}.new`, "w");
    try {
      await file.writeFile(cursor, "ascii");
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${this.path}.new`, this.path);
  }
}
