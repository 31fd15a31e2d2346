/**
 * The one place where types are given up, and only where values of many modules meet: requirements that the engine provides from the city's whole
 * context, payloads that a schema has decoded, answers that a filter has already shaped. An author's own module keeps its full types.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- this alias is the exception that makes every other one visible
export type Erased = any
