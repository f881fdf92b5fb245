const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const LOWER_E = 0x65;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
/** A bracket and a brace are closed by what stands two places after them in ASCII. */
const TO_CLOSE = 2;
const SPACE = 0x20;

/** What may follow a backslash besides `u` (RFC 8259 section 7). */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));
/** Of each byte 1 where it stands in a string for nothing but itself (RFC 8259 section 7). */
const IN_STRING = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0));
const WORDS = ['true', 'false', 'null'].map((word) => Buffer.from(word));

/**
 * Whether UTF-8 is one JSON text (RFC 8259), with arrays and objects at most `maxDepth` deep, 32 at most. As `JSON.parse` would tell, which makes
 * an error for each text that is none, at many times the cost.
 */
export function isJson(bytes: Uint8Array, maxDepth: number): boolean {
  return SCAN.isJson(bytes, maxDepth);
}

const NOTHING = new Uint8Array(0);

/** One text after the other. */
class Scan {
  #bytes: Uint8Array = NOTHING;
  #maxDepth = 0;
  #at = 0;
  #depth = 0;
  /** A bit a level, the innermost last: whether it is an object. */
  #objects = 0;

  isJson(bytes: Uint8Array, maxDepth: number): boolean {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
    this.#at = skipSpace(bytes, 0);
    this.#depth = 0;
    this.#objects = 0;
    const answer = this.#isWhole();
    // Whose it is may let go of it.
    this.#bytes = NOTHING;
    return answer;
  }

  #isWhole(): boolean {
    while (this.#value()) {
      this.#at = skipSpace(this.#bytes, this.#at);
      this.#close();
      if (this.#depth === 0) return this.#at === this.#bytes.length;
      if (this.#bytes[this.#at] !== COMMA) return false;
      this.#at = skipSpace(this.#bytes, this.#at + 1);
      if (!this.#item()) return false;
    }
    return false;
  }

  /** Past a value; of arrays and objects that hold something past the first value in them that holds nothing. */
  #value(): boolean {
    const bytes = this.#bytes;
    let first = bytes[this.#at] ?? 0;
    while (first === OPEN_BRACE || first === OPEN_BRACKET) {
      if (this.#depth === this.#maxDepth) return false;
      this.#at = skipSpace(bytes, this.#at + 1);
      if (bytes[this.#at] === first + TO_CLOSE) {
        this.#at += 1;
        return true;
      }
      this.#depth += 1;
      this.#objects = (this.#objects << 1) | (first === OPEN_BRACE ? 1 : 0);
      if (!this.#item()) return false;
      first = bytes[this.#at] ?? 0;
    }
    this.#at = endOfScalar(bytes, this.#at, first);
    return this.#at >= 0;
  }

  /** To the value of an item: past the name where it is a member of an object. */
  #item(): boolean {
    const bytes = this.#bytes;
    if ((this.#objects & 1) === 0) return true;
    const colon = bytes[this.#at] === QUOTE ? endOfString(bytes, this.#at + 1) : -1;
    this.#at = colon < 0 ? -1 : skipSpace(bytes, colon);
    if (bytes[this.#at] !== COLON) return false;
    this.#at = skipSpace(bytes, this.#at + 1);
    return true;
  }

  /** Past every array and object that ends here. */
  #close(): void {
    while (this.#depth > 0 && this.#bytes[this.#at] === ((this.#objects & 1) === 0 ? OPEN_BRACKET : OPEN_BRACE) + TO_CLOSE) {
      this.#depth -= 1;
      this.#objects >>>= 1;
      this.#at = skipSpace(this.#bytes, this.#at + 1);
    }
  }
}

/** For all texts: each is scanned in one go, and no object is made for it. */
const SCAN = new Scan();

/** Just behind the string, number or word that begins at `at`; -1 where none does. */
function endOfScalar(bytes: Uint8Array, at: number, first: number): number {
  if (first === QUOTE) return endOfString(bytes, at + 1);
  if (first === MINUS || isDigit(first)) return endOfNumber(bytes, at);
  const word = WORDS.find((candidate) => candidate[0] === first);
  return word?.every((byte, index) => bytes[at + index] === byte) === true ? at + word.length : -1;
}

/** Just behind the closing quote; -1 where there is none, for a bare control character and for an escape that is none. */
function endOfString(bytes: Uint8Array, from: number): number {
  const end = bytes.length;
  for (let at = from; at < end; at += 1) {
    while (at < end && IN_STRING[bytes[at] as number] === 1) at += 1;
    if (bytes[at] === QUOTE) return at + 1;
    if (bytes[at] !== BACKSLASH) return -1;
    const escaped = bytes[at + 1] ?? 0;
    if (escaped === LOWER_U && isHex(bytes, at + 2)) at += 5;
    else if (ESCAPED.has(escaped)) at += 1;
    else return -1;
  }
  return -1;
}

/** `-`, digits without a leading zero, a fraction, an exponent. */
function endOfNumber(bytes: Uint8Array, from: number): number {
  let at = bytes[from] === MINUS ? from + 1 : from;
  at = bytes[at] === ZERO ? at + 1 : endOfDigits(bytes, at);
  if (at >= 0 && bytes[at] === DOT) at = endOfDigits(bytes, at + 1);
  if (at < 0 || (bytes[at] !== LOWER_E && bytes[at] !== UPPER_E)) return at;
  const sign = bytes[at + 1];
  return endOfDigits(bytes, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
}

/** Behind one digit or more; -1 where there is none. */
function endOfDigits(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isDigit(bytes[at] ?? 0)) at += 1;
  return at === from ? -1 : at;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

function isHex(bytes: Uint8Array, from: number): boolean {
  for (let at = from; at < from + 4; at += 1) {
    const byte = bytes[at] ?? 0;
    const letter = byte | 0x20;
    if (!isDigit(byte) && (letter < 0x61 || letter > 0x66)) return false;
  }
  return true;
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  for (let byte = bytes[at]; byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = bytes[at]) at += 1;
  return at;
}
