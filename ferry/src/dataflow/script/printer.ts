/** Prints a data flow script: what is read again is the same tree. */
import type { Argument, Expression, Script, Statement, TypeNode } from './tree.ts'

export function printScript({ parameters, statements }: Script): string {
  const head =
    parameters.length === 0
      ? ''
      : `parameters{\n${parameters
          .map(
            p => `\t${printName(p.name)} as ${printType(p.type)}${p.default ? ` (${printExpression(p.default)})` : ''}`,
          )
          .join(',\n')}\n}\n`
  return `${head}${statements.map(printStatement).join('\n')}`
}

function printStatement({ inputs, kind, args, output, branches }: Statement): string {
  const streams = inputs
    .map(i => printName(i.name) + (i.branch === undefined ? '' : `@${printName(i.branch)}`))
    .join(', ')
  const to = branches.length > 0 ? `@(${branches.map(printName).join(', ')})` : ''
  return `${streams === '' ? '' : `${streams} `}${kind}(${args.map(printArgument).join(',\n\t')}) ~> ${printName(output)}${to}`
}

function printArgument(arg: Argument): string {
  switch (arg.kind) {
    case 'value':
      return printExpression(arg.value)
    case 'property':
      return `${printName(arg.name)}: ${arg.value ? printExpression(arg.value) : ''}`
    case 'assignment':
      return `${printExpression(arg.to)} = ${printExpression(arg.value)}`
    case 'column': {
      const [only, ...others] = arg.formats
      const isText = only?.kind === 'text' && others.length === 0
      const list = arg.formats.map(f => printExpression(f)).join(', ')
      const formats = only === undefined ? '' : isText ? ` ${list}` : ` (${list})`
      return `${printExpression(arg.of)} as ${printType(arg.type)}${formats}`
    }
  }
}

export function printType(type: TypeNode): string {
  switch (type.kind) {
    case 'simple':
      return `${printName(type.name)}${type.arguments.length > 0 ? `(${type.arguments.join(',')})` : ''}`
    case 'struct':
      return `(${type.fields.map(f => `${printName(f.name)} as ${printType(f.type)}`).join(', ')})`
    case 'array':
      return `${printType(type.of)}[]`
    case 'map':
      return `[${printType(type.key)}, ${printType(type.value)}]`
  }
}

export function printName(name: string): string {
  if (name === '') return '{}'
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) ? name : `{${name.replace(/[{}\\]/g, '\\$&')}}`
}

/** Operators and what is bound tighter than all of them stand in parentheses where another one is around them. */
export function printExpression(e: Expression, isInner = false): string {
  const inner = (one: Expression) => printExpression(one, true)
  switch (e.kind) {
    case 'name':
      return printName(e.name)
    case 'origin':
      return `${printName(e.stream)}@${printName(e.name)}`
    case 'text':
      return printText(e.value, e.quote)
    case 'number':
      return `${e.text}${e.suffix ?? ''}`
    case 'parameter':
      return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(e.name) ? `$${e.name}` : `\${${e.name}}`
    case 'pattern':
      return e.name
    case 'item':
      return `#${e.name}`
    case 'call':
      return `${printName(e.name)}(${e.args.map(printArgument).join(', ')})`
    case 'cached':
      return `${printName(e.sink)}#${printName(e.name)}(${e.args.map(printArgument).join(', ')})`
    case 'member':
      return `${inner(e.of)}.${printName(e.name)}`
    case 'index':
      return `${inner(e.of)}[${printExpression(e.index)}]`
    case 'array':
      return `[${e.items.map(i => printExpression(i)).join(', ')}]`
    case 'map':
      return `[${e.entries.map(m => `${printExpression(m.key)} -> ${printExpression(m.value)}`).join(', ')}]`
    case 'struct':
      return `@(${e.args.map(printArgument).join(', ')})`
    case 'unary':
      return isInner ? `(${e.operator}${inner(e.of)})` : `${e.operator}${inner(e.of)}`
    case 'typed':
      return `${inner(e.of)} ? ${printType(e.type)}`
    case 'binary': {
      const text = `${inner(e.left)} ${e.operator} ${inner(e.right)}`
      return isInner ? `(${text})` : text
    }
  }
}

function printText(value: string, quote: string): string {
  if (quote === '`') return `\`${value.replaceAll('`', '\\`')}\``
  const escaped = value
    .replaceAll('\\', '\\\\')
    .replaceAll(quote, `\\${quote}`)
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t')
    .replaceAll('\r', '\\r')
  return `${quote}${escaped}${quote}`
}
