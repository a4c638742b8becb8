import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Verifies mailmesh's webhooks with Java 17 alone.
 *
 * <p>{@link #verify} is all that a receiver needs. Run as a program, the file reads cases from its input, one a line; see
 * README.md.
 */
final class Verify {
  private static final long TOLERANCE_SECONDS = 300;
  private static final int MOST_CHARACTERS = 4096;
  private static final Pattern WEBHOOK_ID = Pattern.compile("[A-Za-z0-9_-]{1,128}");
  private static final Pattern TIMESTAMP = Pattern.compile("[1-9][0-9]{0,11}");
  // The ASN.1 in front of the 32 bytes of an Ed25519 public key (RFC 8410), which KeyFactory asks for.
  private static final byte[] ED25519_PREFIX = HexFormat.of().parseHex("302a300506032b6570032100");

  /** The three headers of a webhook; a missing one is empty. */
  record Headers(String id, String timestamp, String signatures) {}

  /**
   * Returns the refusal of a webhook, or "accepted".
   *
   * @param keys {@code whsec_...} and {@code whpk_...} that you trust; during a rotation, the new and the old one
   * @param headers the request's headers
   * @param body the bytes as received, before any parsing
   * @param now seconds since 1970
   */
  static String verify(List<String> keys, Headers headers, byte[] body, long now) throws GeneralSecurityException {
    if (headers.id().isEmpty() || headers.timestamp().isEmpty() || headers.signatures().isEmpty()) {
      return "header_missing";
    }
    if (!WEBHOOK_ID.matcher(headers.id()).matches()
        || !TIMESTAMP.matcher(headers.timestamp()).matches()
        || headers.signatures().length() > MOST_CHARACTERS) {
      return "header_invalid";
    }
    long age = now - Long.parseLong(headers.timestamp());
    if (Math.abs(age) > TOLERANCE_SECONDS) {
      return age > 0 ? "too_old" : "too_new";
    }
    byte[] head = (headers.id() + "." + headers.timestamp() + ".").getBytes(StandardCharsets.UTF_8);
    for (String entry : headers.signatures().split(" ")) {
      for (String key : keys) {
        if (matches(key, entry, head, body)) {
          return "accepted";
        }
      }
    }
    return "signature_wrong";
  }

  /** Returns whether a signature is a key's. A {@code whpk_} key never serves as a shared key: everybody may know it. */
  private static boolean matches(String key, String entry, byte[] head, byte[] body) throws GeneralSecurityException {
    int comma = entry.indexOf(',');
    if (comma < 0) {
      return false;
    }
    byte[] signature;
    try {
      signature = Base64.getDecoder().decode(entry.substring(comma + 1));
    } catch (IllegalArgumentException e) {
      return false;
    }
    byte[] raw = Base64.getDecoder().decode(key.substring(key.indexOf('_') + 1));
    return switch (entry.substring(0, comma)) {
      case "v1" -> key.startsWith("whsec_") && MessageDigest.isEqual(hmac(raw, head, body), signature);
      case "v1a" -> key.startsWith("whpk_") && isEd25519(raw, head, body, signature);
      default -> false;
    };
  }

  private static byte[] hmac(byte[] key, byte[] head, byte[] body) throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    mac.update(head);
    return mac.doFinal(body);
  }

  private static boolean isEd25519(byte[] key, byte[] head, byte[] body, byte[] signature)
      throws GeneralSecurityException {
    byte[] encoded = new byte[ED25519_PREFIX.length + key.length];
    System.arraycopy(ED25519_PREFIX, 0, encoded, 0, ED25519_PREFIX.length);
    System.arraycopy(key, 0, encoded, ED25519_PREFIX.length, key.length);
    PublicKey publicKey = KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
    Signature verifier = Signature.getInstance("Ed25519");
    verifier.initVerify(publicKey);
    verifier.update(head);
    verifier.update(body);
    try {
      return verifier.verify(signature);
    } catch (SignatureException e) {
      // Java throws for a signature of another length, or one that is not reduced.
      return false;
    }
  }

  public static void main(String[] arguments) throws IOException, GeneralSecurityException {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] fields = line.split("\t", -1);
      Headers headers = new Headers(fields[1], fields[2], fields[3]);
      List<String> keys = fields[5].isEmpty() ? List.of() : List.of(fields[5].split(" "));
      System.out.println(verify(keys, headers, Base64.getDecoder().decode(fields[4]), Long.parseLong(fields[0])));
    }
  }

  private Verify() {}
}
