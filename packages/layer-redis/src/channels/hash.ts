import { crc32 } from 'node:zlib';

/** Which of so many hosts channels_redis takes for a name: CRC-32 of its UTF-8, the lowest 12 bits, spread evenly. */
export function hostOf(name: string, hosts: number): number {
  return Math.floor((crc32(name) & 0xfff) / (4096 / hosts));
}
