/**
 * `alert`, as people see it. Three things that change by themselves: whether the condition holds (`clearedAt`), whether somebody has seen it
 * (`acknowledgedAt`), both of them `status` in the data; and how far people are with it, which is the case's state. An alert that is
 * cleared and acknowledged closes where nobody is at work on it: from `open` and from `resolved`.
 */
import { type CaseTypeDefinition, type FieldSchema, type TransitionDefinition } from "../../kernel/cases/CaseType.ts"
import { openStates, severities } from "./model.ts"

const staff = { visibility: "staff" } as const
const moment = (title: string): FieldSchema => ({ type: "string", format: "date-time", title, ...staff })
const text = (title: string, maxLength = 200): FieldSchema => ({ type: "string", title, maxLength, ...staff })
const id = (title: string): FieldSchema => ({ type: "string", format: "uuid", title, ...staff })

const reason = { ...text("Why", 2000), minLength: 3 }
const severity: FieldSchema = { type: "string", title: "Severity", enum: severities, ...staff }
const flapping: FieldSchema = { type: "boolean", title: "Comes and goes", ...staff }
const summary = { ...text("What happened", 500), minLength: 1 }

/** A step that leaves the alert where people are with it, or closes it. */
const inPlace = (from: ReadonlyArray<string>) => ({ from, to: [...from, "closed"] })
const unsuppressed = openStates.filter((state) => state !== "suppressed")

const transitions: Readonly<Record<string, TransitionDefinition>> = {
  acknowledge: {
    title: { en: "Acknowledge", uz: "Ko‘rdim", ru: "Квитировать", ka: "მიღება" },
    ...inPlace(unsuppressed),
    when: ["unacknowledged"],
    apply: "acknowledge"
  },
  clear: {
    title: { en: "Clear by hand", uz: "Qo‘lda tugatish", ru: "Снять вручную", ka: "ხელით მოხსნა" },
    ...inPlace(openStates),
    input: { properties: { reason }, required: ["reason"] },
    when: ["active"],
    apply: "clear"
  },
  // The rule's own word that its condition holds no more.
  "clear-by-rule": {
    title: { en: "Cleared", uz: "Tugadi", ru: "Снято", ka: "მოხსნილია" },
    ...inPlace(openStates),
    internal: true,
    input: { properties: { at: moment("Since when"), reason: text("Why", 500) }, required: ["at"] },
    apply: "clear"
  },
  change: {
    title: { en: "Changed", uz: "O‘zgardi", ru: "Изменилось", ka: "შეიცვალა" },
    from: openStates,
    to: openStates,
    internal: true,
    input: { properties: { severity, summary, flapping } },
    sets: ["severity", "summary", "flapping"],
    apply: "change"
  },
  suppress: {
    title: { en: "Suppressed", uz: "Jim qilindi", ru: "Подавлено", ka: "ჩახშობილია" },
    from: ["open"],
    to: ["suppressed"],
    internal: true,
    input: { properties: { window: id("Maintenance window") }, required: ["window"] },
    sets: ["window"]
  },
  unsuppress: {
    title: { en: "No longer suppressed", uz: "Endi jim emas", ru: "Подавление кончилось", ka: "ჩახშობა დასრულდა" },
    from: ["suppressed"],
    to: ["open"],
    internal: true
  },
  investigate: {
    title: { en: "Investigate", uz: "Tekshirish", ru: "Разбираться", ka: "შესწავლა" },
    from: ["open", "resolved"],
    to: ["investigating"],
    apply: "see"
  },
  link: {
    title: {
      en: "Make part of an incident",
      uz: "Hodisaga qo‘shish",
      ru: "Включить в инцидент",
      ka: "ინციდენტში ჩართვა"
    },
    from: ["open", "investigating", "resolved"],
    to: ["incident"],
    input: { properties: { incident: id("Incident") }, required: ["incident"] },
    apply: "link"
  },
  unlink: {
    title: {
      en: "Take out of the incident",
      uz: "Hodisadan chiqarish",
      ru: "Исключить из инцидента",
      ka: "ინციდენტიდან ამოღება"
    },
    from: ["incident"],
    to: ["investigating"],
    apply: "unlink"
  },
  resolve: {
    title: { en: "Resolve", uz: "Hal qilish", ru: "Решить", ka: "გადაწყვეტა" },
    from: ["open", "investigating", "incident"],
    to: ["resolved"],
    input: { properties: { note: text("What was done", 2000) } },
    sets: ["note"],
    apply: "see"
  },
  close: {
    title: { en: "Close", uz: "Yopish", ru: "Закрыть", ka: "დახურვა" },
    from: ["resolved"],
    to: ["closed"],
    when: ["cleared"]
  },
  settle: {
    title: { en: "Closed by itself", uz: "O‘zi yopildi", ru: "Закрылось само", ka: "თავისით დაიხურა" },
    from: ["resolved"],
    to: ["resolved", "closed"],
    internal: true,
    apply: "settle"
  },
  reopen: {
    title: { en: "Reopen", uz: "Qayta ochish", ru: "Открыть снова", ka: "ხელახლა გახსნა" },
    from: ["resolved", "closed"],
    to: ["investigating"],
    input: { properties: { reason }, required: ["reason"] }
  }
}

export const alertDefinition: CaseTypeDefinition = {
  id: "alert",
  version: 1,
  title: { en: "Alert", uz: "Ogohlantirish", ru: "Тревога", ka: "განგაში" },
  data: {
    properties: {
      rule: text("Rule", 100),
      ruleVersion: { type: "integer", title: "Version of the rule", minimum: 1, ...staff },
      episode: text("Episode", 100),
      originatorKind: { type: "string", title: "What raised it", enum: ["device", "asset", "set"], ...staff },
      originatorId: text("Originator", 100),
      originatorName: text("Name of the originator"),
      assetId: id("Asset"),
      severity,
      summary,
      details: { type: "object", title: "What was expected, what came", ...staff },
      status: {
        type: "string",
        title: "Condition and acknowledgement",
        enum: ["ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK"],
        ...staff
      },
      startedAt: moment("Since when"),
      endedAt: moment("When it last held, when it was cleared"),
      times: { type: "integer", title: "How often the rule said so, when it was cleared", ...staff },
      acknowledgedAt: moment("Acknowledged"),
      acknowledgedBy: id("Acknowledged by"),
      clearedAt: moment("Cleared"),
      reason,
      note: text("What was done", 2000),
      window: id("Maintenance window that suppressed it"),
      flapping
    },
    required: ["rule", "episode", "originatorKind", "originatorId", "severity", "summary", "status", "startedAt"]
  },
  place: "optional",
  placeVisibility: "staff",
  anonymous: false,
  public: false,
  attachments: { min: 0, max: 0 },
  creatable: false,
  initial: "open",
  states: {
    suppressed: { title: { en: "suppressed", uz: "jim qilingan", ru: "подавлена", ka: "ჩახშობილი" }, phase: "open" },
    open: { title: { en: "open", uz: "ochiq", ru: "открыта", ka: "ღია" }, phase: "open" },
    investigating: {
      title: { en: "investigating", uz: "tekshirilmoqda", ru: "разбирается", ka: "შეისწავლება" },
      phase: "open"
    },
    incident: {
      title: { en: "part of an incident", uz: "hodisada", ru: "в инциденте", ka: "ინციდენტში" },
      phase: "open"
    },
    resolved: { title: { en: "resolved", uz: "hal qilingan", ru: "решена", ka: "გადაწყვეტილი" }, phase: "fixed" },
    closed: { title: { en: "closed", uz: "yopilgan", ru: "закрыта", ka: "დახურული" }, phase: "closed" }
  },
  transitions,
  // A day in which reopening costs nothing; a condition that still holds keeps it open.
  deadlines: { settle: { states: ["resolved"], within: "P1D", then: { transition: "settle" } } },
  events: {
    "alert.escalated": {
      en: "Called the next step of the ladder",
      uz: "Keyingi pog‘ona chaqirildi",
      ru: "Вызвана следующая ступень",
      ka: "გამოძახებულია შემდეგი საფეხური"
    }
  },
  search: ["summary", "originatorName", "rule"]
}
