/** The environment of a `p2p` that must not see the settings of whoever runs the bench. */
export function p2pEnv(repo: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: repo, P2P_PATH: repo, P2P_BOOTSTRAP: 'none' }
}
