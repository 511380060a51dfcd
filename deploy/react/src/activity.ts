import type { components } from './api.js';

type ActivityBody = components['schemas']['ActivityBody'];

/** What happened. */
export type ActivityType = NonNullable<ActivityBody['type']>;

/** An activity. The value of a meeting may be a literal such as "1999.90", of which every digit arrives. */
export type Activity = {
  [K in keyof Omit<ActivityBody, 'value' | 'occurredAt'>]: ActivityBody[K] | undefined;
} & {
  value?: number | string | undefined;
  occurredAt?: Date | string | undefined;
};

/** What else is known of an activity. */
export type ActivityDetails = Omit<Activity, 'type' | 'campaignId'>;

/** What became of it: new ones, and known ones that were not counted again. */
export type Recorded = components['schemas']['RecordedList'];

const literal = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

/**
 * The activity as JSON, with an id, so that it counts once if it has to be sent
 * again, and its value written as it was given.
 */
export function activityBody(activity: Activity): string {
  const { value, ...rest } = activity;
  const json = JSON.stringify({ ...rest, id: rest.id ?? newID() });
  if (value === undefined) return json;
  if (!literal.test(String(value)))
    throw new RangeError(`value ${JSON.stringify(value)}: want an amount such as 1999.90`);
  return `{"value":${value},${json.slice(1)}`;
}

/** 128 random bits. (crypto.randomUUID is for pages over HTTPS only.) */
function newID(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
