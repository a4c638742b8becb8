package internal.mailmesh.client;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Verifies the webhooks of mailmesh: Standard Webhooks, {@code v1} and {@code v1a}. This file needs Java 17 alone, so that a
 * receiver without gRPC may copy it.
 */
public final class WebhookVerifier {
  private static final long TOLERANCE_SECONDS = 300;
  private static final int MOST_CHARACTERS = 4096;
  private static final Pattern WEBHOOK_ID = Pattern.compile("[A-Za-z0-9_-]{1,128}");
  private static final Pattern TIMESTAMP = Pattern.compile("[1-9][0-9]{0,11}");
  // The ASN.1 in front of the 32 bytes of an Ed25519 public key (RFC 8410), which KeyFactory asks for.
  private static final byte[] ED25519_PREFIX = HexFormat.of().parseHex("302a300506032b6570032100");

  /**
   * The three headers of a webhook; a missing one is empty.
   *
   * @param id {@code webhook-id}
   * @param timestamp {@code webhook-timestamp}
   * @param signatures {@code webhook-signature}
   */
  public record Headers(String id, String timestamp, String signatures) {}

  /**
   * Returns "accepted" or the refusal of a webhook: "header_missing", "header_invalid", "too_old", "too_new" or
   * "signature_wrong". Safe to call from all threads.
   *
   * @param keys {@code whsec_...} and {@code whpk_...} that you trust; during a rotation, the new and the old one
   * @param headers the request's headers
   * @param body the bytes as received, before any parsing
   * @param now seconds since 1970
   * @throws IllegalArgumentException a key is not {@code whsec_} or {@code whpk_} and standard base64
   */
  public static String verify(List<String> keys, Headers headers, byte[] body, long now) {
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
  private static boolean matches(String key, String entry, byte[] head, byte[] body) {
    int comma = entry.indexOf(',');
    byte[] signature = comma < 0 ? null : decode(entry.substring(comma + 1));
    int line = key.indexOf('_');
    byte[] raw = line < 0 ? null : decode(key.substring(line + 1));
    if (raw == null) {
      throw new IllegalArgumentException("a webhook key is whsec_ or whpk_ and standard base64");
    }
    if (signature == null) {
      return false;
    }
    return switch (key.substring(0, line) + " " + entry.substring(0, comma)) {
      case "whsec v1" -> MessageDigest.isEqual(hmac(raw, head, body), signature);
      case "whpk v1a" -> isEd25519(raw, head, body, signature);
      default -> false;
    };
  }

  /** Returns the bytes of standard base64, or null: the decoder of Java also takes texts without padding. */
  private static byte[] decode(String text) {
    try {
      byte[] bytes = Base64.getDecoder().decode(text);
      return Base64.getEncoder().encodeToString(bytes).equals(text) ? bytes : null;
    } catch (IllegalArgumentException e) {
      return null;
    }
  }

  private static byte[] hmac(byte[] key, byte[] head, byte[] body) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      mac.update(head);
      return mac.doFinal(body);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every Java has HmacSHA256", e);
    }
  }

  private static boolean isEd25519(byte[] key, byte[] head, byte[] body, byte[] signature) {
    byte[] encoded = new byte[ED25519_PREFIX.length + key.length];
    System.arraycopy(ED25519_PREFIX, 0, encoded, 0, ED25519_PREFIX.length);
    System.arraycopy(key, 0, encoded, ED25519_PREFIX.length, key.length);
    try {
      PublicKey publicKey = KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
      Signature verifier = Signature.getInstance("Ed25519");
      verifier.initVerify(publicKey);
      verifier.update(head);
      verifier.update(body);
      return verifier.verify(signature);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java from 15 on has Ed25519", e);
    } catch (GeneralSecurityException e) {
      // Java throws for bytes that are no key, and for a signature of another length or one that is not reduced.
      return false;
    }
  }

  private WebhookVerifier() {}
}
