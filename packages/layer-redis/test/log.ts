import type { LayerLogger } from '@busgate/layer';
import { Collector } from '../../../test/support/events.ts';

/** A logger whose lines a test can wait for: level, message and fields as one text. */
export class Log implements LayerLogger {
  readonly lines = new Collector<string>();
  /** Called as the layer says that it is connected. */
  onConnected: () => void = () => undefined;

  info(message: string, fields: Record<string, unknown> = {}): void {
    this.lines.push(`info ${message} ${JSON.stringify(fields)}`);
    if (message === 'the layer is connected') this.onConnected();
  }

  warn(message: string, fields: Record<string, unknown> = {}): void {
    this.lines.push(`warn ${message} ${JSON.stringify(fields)}`);
  }

  error(message: string, fields: Record<string, unknown> = {}): void {
    this.lines.push(`error ${message} ${JSON.stringify(fields)}`);
  }

  /** Resolves when a line holds this text. */
  async has(text: string): Promise<void> {
    await this.lines.find((line) => line.includes(text), `a line with ${text}`);
  }
}
