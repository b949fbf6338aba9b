// title: What reviewers say of a product, aspect by aspect
// description: One row an aspect: how many texts praise it and how many criticise it, the sentiment that follows
//   (praise less criticism by their sum, from −1 to 1), the surest quote of each kind, and the quotes of both kinds,
//   each with the sentence and the document in which it stands. The most spoken of come first. No row for an unknown
//   sku, and none where no text judges anything.
// param sku: STRING -- the product's sku
// param quotes: INTEGER = 2 -- most quotes of praise, and as many of criticism
// param limit: INTEGER = 20 -- most rows to return
// example: {"sku": "S1"}
// returns: aspect STRING, praised INTEGER, criticised INTEGER, sentiment FLOAT, praise STRING, criticism STRING,
//   quotes LIST<MAP>

CYPHER 25
MATCH (p:Product {sku: $sku})-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
WITH a,
     sum(CASE type(f) WHEN 'PRAISED_FOR' THEN coalesce(f.count, 1) ELSE 0 END) AS praised,
     sum(CASE type(f) WHEN 'CRITICISED_FOR' THEN coalesce(f.count, 1) ELSE 0 END) AS criticised,
     collect({fact: f.fact, praises: type(f) = 'PRAISED_FOR'}) AS facts
ORDER BY praised + criticised DESC, a.name
LIMIT $limit
// Quotes are looked up for the rows that are shown, not for all.
CALL (facts) {
  UNWIND facts AS f
  CALL (f) {
    MATCH (e:Evidence {fact: f.fact})-[:FROM]->(d:Document)
    RETURN e, d
    ORDER BY e.confidence DESC, e.id
    LIMIT $quotes
  }
  // The sentence is cut as in product/why.
  LET before = split(left(d.text, e.start), ['. ', '! ', '? ', '。', '！', '？', '\n'])[-1],
      after = split(substring(d.text, e.end), ['. ', '! ', '? ', '。', '！', '？', '\n'])[0]
  LET sentence = trim(substring(d.text, e.start - size(before), size(before) + (e.end - e.start) + size(after) + 1))
  ORDER BY f.praises DESC, e.confidence DESC, e.id
  RETURN collect({praises: f.praises, quote: e.quote, sentence: sentence, document: d.id}) AS quotes
}
RETURN a.name AS aspect,
       praised,
       criticised,
       1.0 * (praised - criticised) / (praised + criticised) AS sentiment,
       [q IN quotes WHERE q.praises | q.quote][0] AS praise,
       [q IN quotes WHERE NOT q.praises | q.quote][0] AS criticism,
       quotes
ORDER BY praised + criticised DESC, aspect
