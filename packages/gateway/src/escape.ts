/** What a terminal or a reader of lines may take for a command: controls, line separators, marks that turn the writing direction. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Such characters as `\u001b`: nothing that is shown can move a cursor or begin a line. */
export function escapeUnsafe(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
