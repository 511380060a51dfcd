import { BursarError } from './errors.js';

/** How requests are sent. */
export interface Transport {
  fetch: typeof fetch;
  /** Milliseconds that one attempt may take. */
  timeout: number;
  /** Attempts after the first, of what may be sent twice. */
  retries: number;
}

// The server, or what is before it, was away or busy: asking again may help.
const passing = new Set([429, 502, 503, 504]);

const firstPause = 250; // milliseconds, doubled each time

/**
 * Sends what may be sent twice, and returns the answer with its body read. An
 * abort by the caller rejects with the signal's reason; no answer in time, or
 * none at all, with a {@link BursarError}.
 */
export async function send(
  transport: Transport,
  url: string,
  init: RequestInit,
  signal?: AbortSignal,
): Promise<{ response: Response; text: string }> {
  for (let attempt = 0; ; attempt++) {
    const last = attempt >= transport.retries;
    try {
      const answer = await once(transport, url, init, signal);
      if (last || !passing.has(answer.response.status)) return answer;
    } catch (error) {
      if (last || signal?.aborted) throw error;
    }
    await pause(firstPause * 2 ** attempt, signal);
  }
}

async function once(transport: Transport, url: string, init: RequestInit, signal?: AbortSignal) {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort();
  }, transport.timeout);
  try {
    const response = await transport.fetch(url, { ...init, signal: controller.signal });
    return { response, text: await response.text() };
  } catch (cause) {
    signal?.throwIfAborted();
    const why = late
      ? `did not answer within ${transport.timeout} ms`
      : 'cannot be reached, or this origin is not its APP_URL';
    throw new BursarError(`Bursar at ${url} ${why}`, null, null, { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error); // whatever the caller gave
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
