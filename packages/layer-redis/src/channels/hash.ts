const POLYNOMIAL = 0xedb88320;
/** What each byte does to the sum. Node has a CRC-32 of its own from 20.15 on only. */
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 && POLYNOMIAL);
  return sum;
});

/** Which of so many hosts channels_redis takes for a name: CRC-32 of its UTF-8, the lowest 12 bits, spread evenly. */
export function hostOf(name: string, hosts: number): number {
  return Math.floor((crc32(name) & 0xfff) / (4096 / hosts));
}

function crc32(text: string): number {
  let sum = -1;
  for (const byte of Buffer.from(text)) sum = (sum >>> 8) ^ (TABLE[(sum ^ byte) & 0xff] ?? 0);
  return ~sum;
}
