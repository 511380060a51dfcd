import type { BursarOptions } from './client.js';
import { BudgetRefusedError, BursarError, CallError, type ErrorMetadata } from './errors.js';
import { type Reading, read } from './exact.js';
import { type Tags, tagHeaders } from './tags.js';

/** A message of a chat, as OpenRouter takes them. */
export interface Message {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: unknown;
  [more: string]: unknown;
}

/** How a model is called. */
export interface CallOptions {
  /** Ends the call. What was written until then is billed and recorded. */
  signal?: AbortSignal | undefined;
  /** Anything else of OpenRouter's request: max_tokens, temperature, tools, … */
  body?: Readonly<Record<string, unknown>> | undefined;
}

/** OpenRouter's answer, and what Bursar says of the call. */
export interface TrackedCompletion {
  id?: string;
  model?: string;
  choices: {
    index: number;
    message: { role: string; content: string | null; [more: string]: unknown };
    finish_reason: string | null;
  }[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    total_tokens: number;
    cost?: number | null;
    [more: string]: unknown;
  };
  bursar: {
    /** Under which Bursar knows the call; null: the call did not pass through Bursar. */
    requestId: string | null;
    /** allowed, warned or downgraded; null: no budget had a say. */
    verdict: string | null;
    /** Of a call that was downgraded: the model that served it. */
    model: string | null;
    /** USD, with all digits; null: not known yet, Bursar will find out. */
    costUSD: string | null;
  };
  [more: string]: unknown;
}

/** Calls through the data port. */
export function trackedCalls(options: BursarOptions) {
  const post = async (messages: Message[], model: string, tags: Tags = {}, call: CallOptions = {}, stream: boolean) => {
    const { url, headers } = target(options);
    const body: Record<string, unknown> = { ...call.body, model, messages };
    if (stream) body.stream = true;
    const fetched = (options.fetch ?? globalThis.fetch)(url, {
      method: 'POST',
      headers: { ...headers, ...tagHeaders(tags), 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: call.signal ?? null,
    });
    // Not sent again after a failure: it may have been billed.
    const response = await fetched.catch(brokenOff(url, call.signal));
    if (!response.ok) throw callError(response, await response.text().catch(brokenOff(url, call.signal)));
    return response;
  };
  return {
    complete: async (
      messages: Message[],
      model: string,
      tags?: Tags,
      call?: CallOptions,
    ): Promise<TrackedCompletion> => {
      const response = await post(messages, model, tags, call, false);
      return completion(response, await response.text().catch(brokenOff(response.url, call?.signal)));
    },
    stream: (messages: Message[], model: string, tags?: Tags, call?: CallOptions): Promise<Response> =>
      post(messages, model, tags, call, true),
  };
}

/** An abort by the caller stays what it is. */
function brokenOff(url: string, signal?: AbortSignal): (cause: unknown) => never {
  return (cause) => {
    signal?.throwIfAborted();
    throw new BursarError(`Bursar at ${url} cannot be reached, or broke off`, null, null, { cause });
  };
}

function target(options: BursarOptions): { url: string; headers: Record<string, string> } {
  if (!options.proxyURL) {
    throw new BursarError('proxyURL is not set: want the data port, such as http://127.0.0.1:8080/api/v1');
  }
  if (!options.apiKey) return { url: chat(options.proxyURL), headers: {} };
  if (typeof document !== 'undefined') {
    throw new BursarError('apiKey is for servers only: in a browser everybody who opens the page could read it');
  }
  return { url: chat(options.proxyURL), headers: { Authorization: `Bearer ${options.apiKey}` } };
}

const chat = (base: string) => `${base.replace(/\/+$/, '')}/chat/completions`;

function completion(response: Response, text: string): TrackedCompletion {
  let answer: Reading<TrackedCompletion>;
  try {
    answer = read(text);
  } catch (cause) {
    throw new BursarError('the answer of the model is no JSON', response.status, requestOf(response), { cause });
  }
  // OpenRouter answers 200 to what fails after it has begun.
  if (!Array.isArray(answer.value?.choices)) throw callError(response, text);
  return {
    ...answer.value,
    bursar: {
      requestId: requestOf(response),
      verdict: response.headers.get('X-Bursar-Verdict'),
      model: response.headers.get('X-Bursar-Model'),
      costUSD: answer.exact.usage?.cost ?? null,
    },
  };
}

const requestOf = (response: Response) => response.headers.get('X-Bursar-Request-ID');

interface ErrorEnvelope {
  error?: { message?: unknown; metadata?: unknown };
}

/** The error that an answer tells of. */
function callError(response: Response, text: string): CallError {
  let told: ErrorEnvelope['error'];
  try {
    told = read<ErrorEnvelope | null>(text).exact?.error;
  } catch {
    // A page of something between here and OpenRouter. Its status tells.
  }
  const message = typeof told?.message === 'string' ? told.message : `the call was answered ${response.status}`;
  const metadata = (typeof told?.metadata === 'object' && told.metadata !== null ? told.metadata : {}) as ErrorMetadata;
  const ours = typeof metadata.limit_source === 'string' && metadata.limit_source.startsWith('bursar_');
  const Kind = response.status === 402 && ours ? BudgetRefusedError : CallError;
  return new Kind(message, response.status, requestOf(response), metadata);
}
