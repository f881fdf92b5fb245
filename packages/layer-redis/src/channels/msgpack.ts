import { Buffer } from 'node:buffer';

/** What Python's `channels_redis` can carry, as far as JSON can: integers beyond 2^53 are BigInts. */
export type Packable = string | number | bigint | boolean | null | Uint8Array | readonly Packable[] | { readonly [key: string]: Packable };

const MAX_DEPTH = 200;
const BIG = 2 ** 63;

/** Writes what msgpack's Python writer writes for the same value, byte for byte; a whole number is always an integer. */
export class Packer {
  readonly #parts: Buffer[] = [];

  static pack(value: Packable): Buffer {
    const packer = new Packer();
    packer.value(value);
    return packer.bytes();
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  value(value: Packable): void {
    if (value === null) this.#byte(0xc0);
    else if (typeof value === 'boolean') this.#byte(value ? 0xc3 : 0xc2);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'bigint') this.#wide(value);
    else if (typeof value === 'string') this.text(value);
    else if (value instanceof Uint8Array) this.#binary(value);
    else if (Array.isArray(value)) this.#array(value as readonly Packable[]);
    else this.#map(value as { readonly [key: string]: Packable });
  }

  text(value: string): void {
    const bytes = Buffer.from(value);
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else this.#sized([0xd9, 0xda, 0xdb], bytes.length);
    this.#parts.push(bytes);
  }

  /** The start of a map of that many members. */
  mapOf(size: number): void {
    if (size < 16) this.#byte(0x80 | size);
    else this.#sized([undefined, 0xde, 0xdf], size);
  }

  #array(value: readonly Packable[]): void {
    if (value.length < 16) this.#byte(0x90 | value.length);
    else this.#sized([undefined, 0xdc, 0xdd], value.length);
    for (const item of value) this.value(item);
  }

  #map(value: { readonly [key: string]: Packable }): void {
    const members = Object.entries(value);
    this.mapOf(members.length);
    for (const [key, member] of members) {
      this.text(key);
      this.value(member);
    }
  }

  #binary(value: Uint8Array): void {
    this.#sized([0xc4, 0xc5, 0xc6], value.length);
    this.#parts.push(Buffer.from(value));
  }

  #number(value: number): void {
    if (Number.isInteger(value) && value >= -BIG && value < 2 * BIG) {
      this.#wide(BigInt(value));
      return;
    }
    const bytes = Buffer.alloc(9, 0xcb);
    bytes.writeDoubleBE(value, 1);
    this.#parts.push(bytes);
  }

  #wide(value: bigint): void {
    if (value >= 0n) this.#unsigned(value);
    else this.#negative(value);
  }

  #unsigned(value: bigint): void {
    if (value < 0x80n) this.#byte(Number(value));
    else if (value <= 0xffffffffn) this.#sized([0xcc, 0xcd, 0xce], Number(value));
    else {
      const bytes = Buffer.alloc(9, 0xcf);
      bytes.writeBigUInt64BE(value, 1);
      this.#parts.push(bytes);
    }
  }

  #negative(value: bigint): void {
    if (value >= -32n) this.#byte(Number(value) & 0xff);
    else if (value >= -0x80n) this.#parts.push(Buffer.from([0xd0, Number(value) & 0xff]));
    else {
      const [width, code] = value >= -0x8000n ? [2, 0xd1] : value >= -0x80000000n ? [4, 0xd2] : [8, 0xd3];
      const bytes = Buffer.alloc(9, code);
      bytes.writeBigInt64BE(value, 1);
      this.#parts.push(Buffer.concat([Buffer.from([code]), bytes.subarray(9 - width)]));
    }
  }

  /** A code and a length of 1, 2 or 4 bytes. */
  #sized([one, two, four]: readonly [number | undefined, number, number], size: number): void {
    const bytes = Buffer.alloc(5);
    bytes.writeUInt32BE(size, 1);
    if (one !== undefined && size < 0x100) this.#parts.push(Buffer.from([one, size]));
    else if (size < 0x10000) this.#parts.push(Buffer.from([two, bytes[3] as number, bytes[4] as number]));
    else {
      bytes[0] = four;
      this.#parts.push(bytes);
    }
  }

  #byte(value: number): void {
    this.#parts.push(Buffer.from([value]));
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads msgpack as Python reads it, strictly: what Python would refuse, what has no end and what has more than one value throws. */
export class Unpacker {
  readonly #bytes: Buffer;
  #at = 0;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  static unpack(bytes: Buffer): Packable {
    const unpacker = new Unpacker(bytes);
    const value = unpacker.#value(0);
    if (unpacker.#at !== bytes.length) throw new Error('bytes after the end');
    return value;
  }

  #value(depth: number): Packable {
    if (depth > MAX_DEPTH) throw new Error('nested too deeply');
    const code = this.#uint(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.#map(code & 0x0f, depth);
    if (code < 0xa0) return this.#array(code & 0x0f, depth);
    if (code < 0xc0) return this.#text(code & 0x1f);
    if (code >= 0xe0) return code - 0x100;
    return code < 0xcc ? this.#simple(code) : code < 0xd4 ? this.#number(code) : this.#long(code, depth);
  }

  #simple(code: number): Packable {
    switch (code) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#take(this.#uint(1 << (code - 0xc4)));
      case 0xca:
        return this.#take(4).readFloatBE();
      case 0xcb:
        return this.#take(8).readDoubleBE();
      default:
        throw new Error(`code ${code} has no meaning here`);
    }
  }

  #number(code: number): Packable {
    const width = 1 << (code & 3);
    const signed = code >= 0xd0;
    if (width < 8) return signed ? this.#take(width).readIntBE(0, width) : this.#uint(width);
    const value = signed ? this.#take(8).readBigInt64BE() : this.#take(8).readBigUInt64BE();
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #long(code: number, depth: number): Packable {
    switch (code) {
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#uint(1 << (code - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#uint(code === 0xdc ? 2 : 4), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#uint(code === 0xde ? 2 : 4), depth);
      default:
        throw new Error('extension types have no meaning here');
    }
  }

  #array(size: number, depth: number): Packable {
    const items: Packable[] = [];
    while (items.length < size) items.push(this.#value(depth + 1));
    return items;
  }

  #map(size: number, depth: number): Packable {
    const map: Record<string, Packable> = {};
    for (let count = 0; count < size; count += 1) {
      const key = this.#value(depth + 1);
      if (typeof key !== 'string') throw new Error('a key is no text');
      Object.defineProperty(map, key, { value: this.#value(depth + 1), writable: true, enumerable: true, configurable: true });
    }
    return map;
  }

  #text(length: number): string {
    return utf8.decode(this.#take(length));
  }

  #uint(width: number): number {
    return this.#take(width).readUIntBE(0, width);
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new Error('ends too early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
