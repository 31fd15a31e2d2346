// The house rules that oxlint has no rule for, as an oxlint plugin. `scripts/house-rules.test.mjs` shows that each fires.
const text = (node) =>
  node.type === "TemplateLiteral"
    ? node.quasis.map((quasi) => quasi.value.cooked ?? quasi.value.raw).join("$")
    : node.type === "Literal" && typeof node.value === "string"
      ? node.value
      : undefined

const nearestFunction = (node) => {
  let at = node.parent
  while (at && !/Function/.test(at.type)) at = at.parent
  return at
}

const rule = (description, create) => ({ meta: { type: "problem", docs: { description } }, create })

const noWallClock = rule("Time comes from Effect's Clock, so that tests can move it", (context) => {
  const message = "The machine's clock cannot be moved by a test. Use Clock or DateTime of Effect."
  return {
    CallExpression(node) {
      const { callee } = node
      if (callee.type === "MemberExpression" && callee.object.name === "Date" && callee.property.name === "now")
        context.report({ node, message })
      if (callee.type === "Identifier" && callee.name === "Date") context.report({ node, message })
    },
    NewExpression(node) {
      if (node.callee.name === "Date" && node.arguments.length === 0) context.report({ node, message })
    }
  }
})

const noTryInEffects = rule("Errors inside an effect are typed", (context) => ({
  TryStatement(node) {
    if (node.handler && nearestFunction(node)?.generator)
      context.report({
        node,
        message: "try/catch in an effect hides a defect as a value. Use Effect.try, Effect.tryPromise or Effect.catch."
      })
  }
}))

/** Starts like a statement; upper case, so that a sentence for people is no match. */
const statement =
  /^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE|COPY|SET|LISTEN|NOTIFY|CALL)\s/
const leakingSet = /(^|;)\s*SET\s+(SESSION\s+)?((?!LOCAL\b)[\w.]+\s*(=|TO\b)|ROLE\b|AUTHORIZATION\b|TIME\s+ZONE\b)/

const sql = rule("SQL is plain, parameters are bound, settings end with their transaction", (context) => {
  const built = (node) =>
    context.report({
      node,
      message: "String-built SQL. Bind values with sql`…${value}…`, names with sql(name), lists with sql.in(list)."
    })
  const leaking = (node) =>
    context.report({
      node,
      message:
        "SET outlives its transaction and reaches the next user of the connection. Use SET LOCAL or set_config(…, true)."
    })
  const concatenation = (node) => {
    let left = node
    while (left.type === "BinaryExpression" && left.operator === "+") left = left.left
    return statement.test(text(left) ?? "")
  }
  return {
    TemplateLiteral(node) {
      const content = text(node)
      if (leakingSet.test(content)) leaking(node)
      if (node.parent.type !== "TaggedTemplateExpression" && node.expressions.length > 0 && statement.test(content))
        built(node)
    },
    Literal(node) {
      if (typeof node.value === "string" && leakingSet.test(node.value)) leaking(node)
    },
    BinaryExpression(node) {
      if (node.operator === "+" && node.parent.type !== "BinaryExpression" && concatenation(node)) built(node)
    },
    TaggedTemplateExpression(node) {
      if (/\bset_config\((?:[^()]|\([^()]*\))*,\s*false\s*\)/i.test(text(node.quasi))) leaking(node)
    },
    CallExpression(node) {
      const { callee } = node
      const argument = node.arguments[0]
      if (callee.type !== "MemberExpression" || !["unsafe", "literal"].includes(callee.property.name) || !argument)
        return
      if (!/sql$/i.test(callee.object.name ?? callee.object.property?.name ?? "")) return
      if (
        (argument.type === "TemplateLiteral" && argument.expressions.length > 0) ||
        argument.type === "BinaryExpression"
      ) {
        if (!statement.test(text(argument) ?? "") && !(argument.type === "BinaryExpression" && concatenation(argument)))
          built(argument)
      }
    }
  }
})

const reasonedExceptions = rule("An exception from a rule says why", (context) => ({
  Program() {
    for (const comment of context.sourceCode.getAllComments())
      if (
        /^\s*((oxlint|eslint)-disable|@ts-(expect-error|ignore|nocheck))/.test(comment.value) &&
        !/-disable\S*\s.*\s--\s+\S|@ts-expect-error\s+\S/s.test(comment.value)
      )
        context.report({
          loc: comment.loc,
          message:
            "Name the rule and give the reason: `oxlint-disable-next-line <rule> -- <reason>` or `@ts-expect-error <reason>`."
        })
  }
}))

export default {
  meta: { name: "house" },
  rules: {
    "no-wall-clock": noWallClock,
    "no-try-in-effects": noTryInEffects,
    sql,
    "reasoned-exceptions": reasonedExceptions
  }
}
