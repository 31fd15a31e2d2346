/** The page behind a link: one button, whole without scripts, in nobody's frame. */
import { escapeHtml, inChain, chainOf } from "./format.ts"
import type { LinkMeaning } from "./links.ts"

interface Words {
  readonly title: string
  readonly text: string
  readonly button: string
  readonly done: string
}

const unsubscribe: Readonly<Record<string, Words>> = {
  en: {
    title: "No more of these messages?",
    text: "You will get no more messages of this kind. You can switch them on again in the app.",
    button: "No more of them",
    done: "Done. You will get no more of them."
  },
  uz: {
    title: "Bunday xabarlar kelmasinmi?",
    text: "Bunday xabarlar boshqa kelmaydi. Ularni ilovada qayta yoqish mumkin.",
    button: "Boshqa kelmasin",
    done: "Bajarildi. Bunday xabarlar boshqa kelmaydi."
  },
  "uz-Cyrl": {
    title: "Бундай хабарлар келмасинми?",
    text: "Бундай хабарлар бошқа келмайди. Уларни иловада қайта ёқиш мумкин.",
    button: "Бошқа келмасин",
    done: "Бажарилди. Бундай хабарлар бошқа келмайди."
  },
  ru: {
    title: "Больше не присылать такие сообщения?",
    text: "Таких сообщений больше не будет. Включить их снова можно в приложении.",
    button: "Больше не присылать",
    done: "Готово. Таких сообщений больше не будет."
  },
  ka: {
    title: "აღარ გინდათ ასეთი შეტყობინებები?",
    text: "ასეთ შეტყობინებებს აღარ მიიღებთ. აპში შეგიძლიათ ისევ ჩართოთ.",
    button: "აღარ მინდა",
    done: "მზადაა. ასეთ შეტყობინებებს აღარ მიიღებთ."
  }
}

const confirm: Readonly<Record<string, Words>> = {
  en: {
    title: "Is this your mailbox?",
    text: "News for you will come here.",
    button: "Yes, it is mine",
    done: "Done. News for you will come here."
  },
  uz: {
    title: "Bu sizning pochtangizmi?",
    text: "Yangiliklaringiz shu yerga keladi.",
    button: "Ha, meniki",
    done: "Bajarildi. Yangiliklaringiz shu yerga keladi."
  },
  "uz-Cyrl": {
    title: "Бу сизнинг почтангизми?",
    text: "Янгиликларингиз шу ерга келади.",
    button: "Ҳа, меники",
    done: "Бажарилди. Янгиликларингиз шу ерга келади."
  },
  ru: {
    title: "Это ваш почтовый ящик?",
    text: "Новости для вас будут приходить сюда.",
    button: "Да, мой",
    done: "Готово. Новости для вас будут приходить сюда."
  },
  ka: {
    title: "ეს თქვენი ფოსტაა?",
    text: "თქვენი სიახლეები აქ მოვა.",
    button: "დიახ, ჩემია",
    done: "მზადაა. თქვენი სიახლეები აქ მოვა."
  }
}

export const pageHeaders: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store"
}

/** `isDone`: what the button asks for has happened. */
export const linkPage = (meaning: LinkMeaning, city: string, language: string, isDone: boolean): string => {
  const words = meaning.kind === "unsubscribe" ? unsubscribe : confirm
  const [written, { button, done, text, title }] = inChain(words, chainOf(language, undefined))!
  const body = isDone
    ? `<p>${escapeHtml(done)}</p>`
    : `<p>${escapeHtml(text)}</p><form method="post"><button>${escapeHtml(button)}</button></form>`
  return `<!doctype html><html lang="${written}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(city)}</title></head><body><main><h1>${escapeHtml(`${city}: ${title}`)}</h1>${body}</main></body></html>`
}
