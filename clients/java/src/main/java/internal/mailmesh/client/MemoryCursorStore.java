package internal.mailmesh.client;

/** Keeps the cursor until the process ends. */
public final class MemoryCursorStore implements CursorStore {
  private volatile String cursor;

  /**
   * Creates a store.
   *
   * @param cursor the first cursor; empty for none
   */
  public MemoryCursorStore(String cursor) {
    this.cursor = cursor;
  }

  @Override
  public String load() {
    return cursor;
  }

  @Override
  public void save(String cursor) {
    this.cursor = cursor;
  }
}
