/** What people read where a city has written nothing of its own: English, Uzbek in both scripts, Russian, Georgian. */
import type { TemplateTexts } from "./model.ts"

export interface BuiltIn {
  /** What may stand in braces. */
  readonly variables: ReadonlyArray<string>
  readonly texts: TemplateTexts
}

/** Of everything that is about a case. */
export const caseVariables = ["title", "reference", "state", "text", "city", "link"] as const
/** Of what a city tells everybody. */
export const cityVariables = ["city", "link"] as const

const plain = (texts: Readonly<Record<string, string>>): TemplateTexts =>
  Object.fromEntries(Object.entries(texts).map(([language, text]) => [language, { text }]))

export const builtIn: Readonly<Record<string, BuiltIn>> = {
  "case-created": {
    variables: caseVariables,
    texts: plain({
      en: "{title} {reference}: received.",
      uz: "{title} {reference}: qabul qilindi.",
      "uz-Cyrl": "{title} {reference}: қабул қилинди.",
      ru: "{title} {reference}: принято.",
      ka: "{title} {reference}: მიღებულია."
    })
  },
  "case-changed": {
    variables: caseVariables,
    texts: plain({
      en: "{title} {reference} is now: {state}.",
      uz: "{title} {reference} holati: {state}.",
      "uz-Cyrl": "{title} {reference} ҳолати: {state}.",
      ru: "{title} {reference}: теперь «{state}».",
      ka: "{title} {reference}: ახლა {state}."
    })
  },
  // The words are the case type's own.
  "case-notice": { variables: caseVariables, texts: plain({ en: "{text}" }) },
  digest: {
    variables: ["count", "items", "city"],
    texts: {
      en: {
        subject: "{city}: your news",
        text: "{city}: {count, plural, one {one piece of news} other {# pieces of news}}.\n{items}"
      },
      uz: { subject: "{city}: yangiliklaringiz", text: "{city}: {count} ta yangilik.\n{items}" },
      "uz-Cyrl": { subject: "{city}: янгиликларингиз", text: "{city}: {count} та янгилик.\n{items}" },
      ru: {
        subject: "{city}: ваши новости",
        text: "{city}: {count, plural, one {# новость} few {# новости} many {# новостей} other {# новости}}.\n{items}"
      },
      ka: { subject: "{city}: თქვენი სიახლეები", text: "{city}: {count} სიახლე.\n{items}" }
    }
  },
  "email-confirm": {
    variables: ["city", "link"],
    texts: {
      en: {
        subject: "{city}: is this your mailbox?",
        text: "Somebody asked {city} to send news here. If it was you, confirm it: {link}\nIf not, do nothing."
      },
      uz: {
        subject: "{city}: bu sizning pochtangizmi?",
        text: "Kimdir {city} yangiliklarini shu manzilga so‘radi. Bu siz bo‘lsangiz, tasdiqlang: {link}\nAks holda hech narsa qilmang."
      },
      "uz-Cyrl": {
        subject: "{city}: бу сизнинг почтангизми?",
        text: "Кимдир {city} янгиликларини шу манзилга сўради. Бу сиз бўлсангиз, тасдиқланг: {link}\nАкс ҳолда ҳеч нарса қилманг."
      },
      ru: {
        subject: "{city}: это ваш почтовый ящик?",
        text: "Кто-то попросил {city} присылать новости сюда. Если это вы, подтвердите: {link}\nЕсли нет, ничего не делайте."
      },
      ka: {
        subject: "{city}: ეს თქვენი ფოსტაა?",
        text: "ვიღაცამ სთხოვა {city}-ს სიახლეების აქ გამოგზავნა. თუ ეს თქვენ იყავით, დაადასტურეთ: {link}\nთუ არა, არაფერი გააკეთოთ."
      }
    }
  }
}

/** When nothing of a template can be shown. */
export const safeText: TemplateTexts = plain({
  en: "{city}: there is news for you.",
  uz: "{city}: siz uchun yangilik bor.",
  "uz-Cyrl": "{city}: сиз учун янгилик бор.",
  ru: "{city}: для вас есть новости.",
  ka: "{city}: თქვენთვის სიახლეა."
})
