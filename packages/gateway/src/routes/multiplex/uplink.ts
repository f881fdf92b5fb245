import { elementsOf } from './source.ts';

/** The frames of a request's body, one or a list of them, each as it was sent; undefined where it is neither. What is wrong with one of them is its own answer. */
export function framesOf(body: Uint8Array): readonly Buffer[] | undefined {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (Array.isArray(value)) return elementsOf(text).map((frame) => Buffer.from(frame));
  return typeof value === 'object' && value !== null ? [Buffer.from(text)] : undefined;
}
