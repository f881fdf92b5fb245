import { Consumer, router, StopConsumer, type Data } from '@busgate/consumer';
import { answer, obey, page, say } from './script.ts';

/** The scripted application as a class. */
class Scripted extends Consumer {
  override async connect(): Promise<void> {
    const { resumed, undone, state } = this.socket;
    say('connect', this.socket, { resumed, undone, state });
    await answer(this.socket);
  }

  override async receive(message: Data): Promise<void> {
    say('receive', this.socket, typeof message === 'string' ? { text: message } : {});
    if (!(await obey(message, this.socket))) throw new StopConsumer();
  }

  override disconnect(code: number, reason: string): void {
    say('disconnect', this.socket, { code, reason });
  }
}

export default router({ '/app/page': page, '/*': Scripted });
