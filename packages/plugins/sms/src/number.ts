/** Phone numbers. Whoever calls has made them E.164 already; what is not is refused. */
const e164 = /^\+[1-9]\d{6,14}$/

/** In words for `InvalidRequest`; undefined when it is one. The number is not repeated. */
export const numberMistake = (to: string): string | undefined =>
  e164.test(to) ? undefined : "This is no phone number in the form of E.164, as +998901234567."

export const digitsOf = (to: string): string => to.slice(1)
