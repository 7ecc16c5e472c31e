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

function listed (partitions) {
  return [...partitions].sort((a, b) => a - b).join(',') || '-'
}

export function sayAssigned (partitions, generation) {
  console.log(`assigned ${listed(partitions)} ${generation}`)
}

// What --make writes with each codec: as many of these to each partition.
const value = 'compressible '.repeat(10)

export function records (options) {
  const count = Number(options.make) * Number(options.partitions)
  return Array.from({ length: count }, (_, i) => {
    return { partition: i % Number(options.partitions), value }
  })
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
