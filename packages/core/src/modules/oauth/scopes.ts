/** What an app can ask for: in words for the citizen, as rights for the policy, and as addresses that a token opens. Everything else stays shut. */
import type { Permission } from "../../kernel/policy/decide.ts"

/** Languages of the consent pages; the first is taken where nothing else fits. */
export const languages = ["en", "uz", "ru"] as const
export type Language = (typeof languages)[number]

export interface Scope {
  readonly id: string
  /** What the citizen reads beside the box. */
  readonly text: Readonly<Record<Language, string>>
  /** As in a role: `*.verb` is that verb on every case type. */
  readonly permissions: ReadonlyArray<Permission>
  /** Method and path pattern; `*` is one part, a `**` at the end everything below and the address itself. */
  readonly doors: ReadonlyArray<readonly [method: string, path: string]>
}

/** OpenID's own scopes: they say who somebody is, and open no address of the API. */
export const identityScopes: ReadonlyArray<Scope> = [
  {
    id: "openid",
    text: {
      en: "Recognise you when you come back (a number, without your name)",
      uz: "Qaytib kelganingizda sizni tanish (ismingizsiz, raqam orqali)",
      ru: "Узнавать вас, когда вы вернётесь (по номеру, без имени)"
    },
    permissions: [],
    doors: []
  },
  {
    id: "profile",
    text: { en: "See your name and language", uz: "Ismingiz va tilingizni ko‘rish", ru: "Видеть ваше имя и язык" },
    permissions: [],
    doors: []
  },
  {
    id: "offline_access",
    text: {
      en: "Keep this access while you are away, for at most 90 days",
      uz: "Siz yo‘qligingizda ham ruxsatni saqlash, ko‘pi bilan 90 kun",
      ru: "Сохранять доступ, пока вас нет, не дольше 90 дней"
    },
    permissions: [],
    doors: []
  }
]

/** Scopes of our API. */
export const apiScopes: ReadonlyArray<Scope> = [
  {
    id: "cases.read",
    text: {
      en: "See what you have sent in, and what became of it",
      uz: "Yuborgan murojaatlaringiz va ularning natijasini ko‘rish",
      ru: "Видеть ваши обращения и что с ними стало"
    },
    permissions: ["case-type.read", "*.read:own", "attachment.read:own"],
    doors: [
      ["GET", "/v1/cases/**"],
      ["GET", "/v1/attachments/**"]
    ]
  },
  {
    id: "cases.write",
    text: {
      en: "Send in reports in your name, add files and comments, withdraw and appeal",
      uz: "Sizning nomingizdan murojaat yuborish, fayl va izoh qo‘shish, qaytarib olish, shikoyat qilish",
      ru: "Отправлять обращения от вашего имени, добавлять файлы и комментарии, отзывать и обжаловать"
    },
    permissions: [
      "case-type.read",
      "*.create",
      "*.submit:own",
      "*.withdraw:own",
      "*.appeal:own",
      "*.comment:own",
      "*.subscribe",
      "*.read:own",
      "attachment.create"
    ],
    doors: [
      ["POST", "/v1/cases/*"],
      ["POST", "/v1/cases/*/*/comments"],
      ["POST", "/v1/cases/*/*/transitions/*"],
      ["PUT", "/v1/cases/*/*/subscription"],
      ["DELETE", "/v1/cases/*/*/subscription"],
      ["POST", "/v1/uploads/**"],
      ["PATCH", "/v1/uploads/*"],
      ["HEAD", "/v1/uploads/*"],
      ["GET", "/v1/uploads/*"],
      ["DELETE", "/v1/uploads/*"]
    ]
  },
  {
    id: "payouts.read",
    text: {
      en: "See the rewards you were paid",
      uz: "Sizga to‘langan mukofotlarni ko‘rish",
      ru: "Видеть выплаченные вам вознаграждения"
    },
    permissions: ["payout.read:own"],
    doors: [["GET", "/v1/payouts/**"]]
  }
]

/** Scopes of what an app does by itself, with the roles that staff gave it: no citizen is asked. */
export const serverScopes: ReadonlyArray<Scope> = [
  {
    id: "cases.read-all",
    text: {
      en: "Read cases as far as its roles allow",
      uz: "Rollari doirasida murojaatlarni o‘qish",
      ru: "Читать обращения в пределах своих ролей"
    },
    permissions: ["case-type.read", "*.read", "attachment.read"],
    doors: [
      ["GET", "/v1/cases/**"],
      ["GET", "/v1/attachments/**"]
    ]
  },
  {
    id: "webhooks.manage",
    text: {
      en: "Be told of what it may see, at addresses of its own",
      uz: "Ko‘rishi mumkin bo‘lgan narsalar haqida o‘z manzillariga xabar olish",
      ru: "Получать на свои адреса сообщения о том, что ему видно"
    },
    permissions: ["webhook.read:own", "webhook.manage:own"],
    doors: [
      ["GET", "/v1/webhooks/**"],
      ["POST", "/v1/webhooks/**"],
      ["PUT", "/v1/webhooks/**"],
      ["DELETE", "/v1/webhooks/*"]
    ]
  }
]

/** What everybody may see without signing in. */
const openDoors: Scope["doors"] = [
  ["GET", "/v1/city"],
  ["GET", "/v1/territories"],
  ["GET", "/v1/case-types/**"],
  ["GET", "/v1/offences"]
]

export const identityScopeIds = identityScopes.map(({ id }) => id)
const byId = new Map([...apiScopes, ...serverScopes].map((scope) => [scope.id, scope]))
export const apiScopeIds = [...byId.keys()]
/** What a citizen can be asked for. */
export const citizenScopes = new Map([...identityScopes, ...apiScopes].map((scope) => [scope.id, scope]))

const fits = (pattern: string, path: string): boolean => {
  const parts = path.split("/")
  const wanted = pattern.split("/")
  const open = wanted.at(-1) === "**"
  const fixed = open ? wanted.slice(0, -1) : wanted
  return (
    (open ? parts.length >= fixed.length : parts.length === fixed.length) &&
    fixed.every((part, place) => (part === "*" ? parts[place] !== "" : part === parts[place]))
  )
}

/** Whether one of the scopes opens an address, `path` without a query. HEAD is what GET is. */
export const opens = (scopes: ReadonlyArray<string>, method: string, path: string): boolean =>
  [openDoors, ...scopes.map((id) => byId.get(id)?.doors ?? [])].some((doors) =>
    doors.some(
      ([takes, pattern]) => (takes === method || (takes === "GET" && method === "HEAD")) && fits(pattern, path)
    )
  )

/** The rights that scopes amount to, as a role lists them. */
export const permissionsOf = (scopes: ReadonlyArray<string>): ReadonlyArray<Permission> => [
  ...new Set(scopes.flatMap((id) => byId.get(id)?.permissions ?? []))
]
