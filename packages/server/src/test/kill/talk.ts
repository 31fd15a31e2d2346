/** What the killed city and the test say to each other over IPC. */
export const slug = "killtown"

/** Parent to city. */
export type Question = { readonly ask: "links" } | { readonly ask: "unbalanced" }
/** City to parent. */
export type Answer =
  | { readonly ready: { readonly url: string } }
  | { readonly links: { readonly admin: string; readonly inspector: string } }
  | { readonly unbalanced: ReadonlyArray<unknown> }
