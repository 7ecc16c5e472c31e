// What the group members on Node share: their command line and what they print (run).

export function parse () {
  const options = { sessionMs: 2000 }
  const words = process.argv.slice(2)
  if (words[0] === '--version') {
    return { version: true }
  }
  for (let i = 0; i + 1 < words.length; i += 2) {
    options[words[i].slice(2)] = words[i + 1]
  }
  options.sessionMs = Number(options['session-ms'])
  return options
}

export function sayAssigned (partitions) {
  console.log(`assigned ${[...partitions].sort((a, b) => a - b).join(',') || '-'}`)
}

export function sayGot (partition, offset) {
  console.log(`got ${partition} ${offset}`)
}

export function sayCommitted (partition, next) {
  console.log(`committed ${partition} ${next}`)
}

// Resolves when a line, or the end, comes on stdin.
export function stopWanted () {
  return new Promise(resolve => {
    process.stdin.once('data', resolve)
    process.stdin.once('end', resolve)
  })
}
