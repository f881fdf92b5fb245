/** Whether a room is Busgate's own, such as that in which a worker says that it lives: no client may join it or publish there. */
export function isReserved(room: string): boolean {
  return room.startsWith('_');
}
