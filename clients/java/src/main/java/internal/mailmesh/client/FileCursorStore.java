package internal.mailmesh.client;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Keeps the cursor in a file of one follower, which a crash leaves whole. The file's folder exists. */
public final class FileCursorStore implements CursorStore {
  private final Path path;

  /**
   * Creates the store of a file.
   *
   * @param path the file, which need not exist
   */
  public FileCursorStore(Path path) {
    this.path = path;
  }

  @Override
  public String load() throws IOException {
    try {
      return Files.readString(path).strip();
    } catch (NoSuchFileException e) {
      return "";
    }
  }

  /** Puts a new file in the place of the old one, after its bytes are on disk. */
  @Override
  public void save(String cursor) throws IOException {
    Path fresh = path.resolveSibling(path.getFileName() + ".new");
    try (FileChannel file =
        FileChannel.open(
            fresh, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap(cursor.getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        file.write(bytes);
      }
      file.force(true);
    }
    Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }
}
