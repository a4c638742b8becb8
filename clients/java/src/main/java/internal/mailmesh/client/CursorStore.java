package internal.mailmesh.client;

import java.io.IOException;

/** Keeps the cursor of one follower. After a crash, it has the old or the new cursor. */
public interface CursorStore {
  /**
   * Returns the saved cursor, or an empty text when there is none.
   *
   * @throws IOException the store cannot be read
   */
  String load() throws IOException;

  /**
   * Replaces the saved cursor. Safe to call again.
   *
   * @param cursor the cursor, opaque
   * @throws IOException the store cannot be written
   */
  void save(String cursor) throws IOException;
}
