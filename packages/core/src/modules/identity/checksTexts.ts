/** What people read before a register is asked about them. Whoever changes what it means counts the version up. */
import type { ClaimName, RegisterText } from "../../ports/IdentityCheck.ts"
import { inLanguage } from "./texts.ts"

/** Names the texts below in what is kept of a consent. */
export const consentVersion = "1"

interface ConsentText {
  readonly claims: Readonly<Record<ClaimName, string>>
  readonly and: string
  readonly text: (city: string, register: string, given: string) => string
}

const texts: Readonly<Record<string, ConsentText>> = {
  en: {
    claims: { birthDate: "your date of birth", name: "your name" },
    and: " and ",
    text: (city, register, given) =>
      `${city} asks “${register}” whether ${given} belong to one person. Nothing else is sent, and the register answers yes or no. We delete what you enter when the answer is there, after seven days at the latest. We keep that it was confirmed, when and how surely, the register's reference, and a keyed fingerprint of your number, so that it confirms one account only. It is up to you; some things are for confirmed people only. It ends with your account.`
  },
  uz: {
    claims: { birthDate: "tugʻilgan sanangiz", name: "ismingiz" },
    and: " va ",
    text: (city, register, given) =>
      `${city} “${register}”dan ${given} bitta odamga tegishli ekanini soʻraydi. Boshqa hech narsa yuborilmaydi, reyestr faqat “ha” yoki “yoʻq” deb javob beradi. Kiritganlaringiz javob kelishi bilan, koʻpi bilan yetti kundan keyin oʻchiriladi. Biz tasdiqlangani, qachon va qay darajada ishonchli ekani, reyestrning belgisi hamda raqamingizning kalitli izini saqlaymiz: u faqat bitta hisobni tasdiqlaydi. Bu ixtiyoriy; ayrim amallar faqat tasdiqlangan odamlar uchun. Hisobingiz bilan birga tugaydi.`
  },
  ru: {
    claims: { birthDate: "дата рождения", name: "имя" },
    and: " и ",
    text: (city, register, given) =>
      `${city} спросит «${register}», принадлежат ли одному человеку ${given}. Больше ничего не передаётся, реестр отвечает «да» или «нет». Введённое удаляется с приходом ответа, самое позднее через семь дней. Мы храним, что вы подтверждены, когда и насколько надёжно, обозначение реестра и ключевой отпечаток номера, чтобы он подтверждал только одну учётную запись. Это добровольно; некоторые действия доступны только подтверждённым людям. Всё это удаляется вместе с учётной записью.`
  },
  ka: {
    claims: { birthDate: "თქვენი დაბადების თარიღი", name: "თქვენი სახელი" },
    and: " და ",
    text: (city, register, given) =>
      `${city} ჰკითხავს რეესტრს „${register}“, ეკუთვნის თუ არა ერთ ადამიანს ${given}. სხვა არაფერი იგზავნება, რეესტრი პასუხობს „კი“ ან „არა“. შეყვანილი მონაცემები წაიშლება პასუხის მიღებისთანავე, არაუგვიანეს შვიდი დღისა. ვინახავთ მხოლოდ იმას, რომ დადასტურდით, როდის და რამდენად სანდოდ, რეესტრის აღნიშვნას და ნომრის გასაღებიან ანაბეჭდს, რათა მან მხოლოდ ერთი ანგარიში დაადასტუროს. ეს ნებაყოფლობითია; ზოგი რამ მხოლოდ დადასტურებული ადამიანებისთვისაა. ყველაფერი იშლება ანგარიშთან ერთად.`
  }
}

/** What somebody agrees to. */
export const consentText = (
  city: string,
  register: {
    readonly title: RegisterText
    readonly numberTitle: RegisterText
    readonly needs: ReadonlyArray<ClaimName>
  },
  language: string
): string => {
  const { and, claims, text } = inLanguage(texts, language)
  const given = [inLanguage(register.numberTitle, language), ...register.needs.map((claim) => claims[claim])]
  return text(city, inLanguage(register.title, language), given.join(and))
}
