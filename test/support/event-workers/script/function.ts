import { consumer, router } from '@busgate/consumer';
import { answer, obey, page, say } from './script.ts';

/** The scripted application as a function. */
const scripted = consumer(async (socket) => {
  const { resumed, undone, state } = socket;
  say('connect', socket, { resumed, undone, state });
  await answer(socket);
  for await (const message of socket) {
    say('receive', socket, typeof message === 'string' ? { text: message } : {});
    if (!(await obey(message, socket))) return;
  }
  say('disconnect', socket, { code: socket.closeCode, reason: socket.closeReason });
});

export default router({ '/app/page': page, '/*': scripted });
