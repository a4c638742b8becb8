declare module "catalogue" {
  const words: Record<string, [when: string, remedy: string] | undefined>;
  export default words;
}
